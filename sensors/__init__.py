"""What triggers runs: the Kafka sensor and the sensors that watch over runs."""
