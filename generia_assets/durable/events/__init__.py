"""Live events: what they say, the outbox, the relay to Kafka."""
