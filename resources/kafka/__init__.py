"""Kafka: reader, producer, dead letters."""
