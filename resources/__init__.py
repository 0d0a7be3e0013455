"""External systems: MongoDB and Kafka; and, behind the API gateway, Gemini, the image API and the platform.

Imports nothing of generia_assets: a resource takes a pydantic class or a protocol as an argument and knows no draft or task.
"""
