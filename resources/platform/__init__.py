"""The platform's services: the protocol, and the platform on this machine."""
