"""Harnesses that measure and break the real thing. Each runs as ``python -m bench.NAME``."""
