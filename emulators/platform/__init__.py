"""The platform emulator: the four gRPC services, the object store with presigned URLs, and Consul, all as strict as the real ones.

Here: the process (``python -m emulators.platform``); ``client.py`` is how tests and harnesses control it. Everything is kept in
memory, pictures in a temporary folder. It uses the messages of resources/platform/proto and no other part of the product.
"""
