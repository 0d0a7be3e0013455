"""The platform emulator: the four gRPC services, the object store behind presigned URLs, and Consul, as strict as the real ones.

Here: the process (``python -m emulators.platform``); ``client.py`` is how tests and harnesses control it. Everything is kept in
memory, pictures in a temporary folder. It knows the messages of resources/platform/proto and nothing else of the product.
"""
