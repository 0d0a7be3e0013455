"""The image API: the protocol, and picture files."""
