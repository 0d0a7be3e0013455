# Order a world with kcat, then read the events so far, of all worlds. -P sends each line of standard input, -C reads; without -e it
# waits for more
new_id() { python3 -c 'import uuid; print(uuid.uuid4())'; }
parameters='{"user_prompt": "a harbour on the back of a whale", "users_count": 2, "posts_count": 3}'
echo '{"event_type": "task_created", "task_id": "'$(new_id)'", "task_type": "init_world_creation", "world_id": "'$(new_id)'", "parameters": '$parameters'}' |
  kcat -P -b "$KAFKA_BOOTSTRAP_SERVERS" -t generia-tasks
kcat -C -b "$KAFKA_BOOTSTRAP_SERVERS" -t generia-progress -o beginning -e -q
