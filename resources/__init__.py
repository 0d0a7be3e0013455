"""External systems: MongoDB, Kafka, and Gemini, the image API and the platform behind the one path that every call takes.

Imports nothing of ours: a resource takes a pydantic class or a protocol as an argument and knows no draft, task or journal.
"""
