"""Live events: their shapes, the outbox, the relay to Kafka."""
