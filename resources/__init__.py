"""The ways to the outside: MongoDB, Gemini, images, platform, Kafka, and the one path every call takes.

Imports nothing of ours: a resource takes a pydantic class or a protocol as an argument and knows no draft, task or journal.
"""
