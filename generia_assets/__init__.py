"""Generia's world generator as a Dagster code location: what exists (assets), what is done (tasks), what it says (content), how it
survives (durable), how people see it (cli).

Imports resources/ and nothing of sensors/ or emulators/; only definitions.py, the composition root, knows the sensors.
"""
