"""Generia's world generator as a Dagster code location: assets (assets), task types (tasks), prompts and documents (content),
durable execution (durable), the command line (cli).

Imports resources/ and nothing of sensors/ or emulators/; only definitions.py, the composition root, knows the sensors.
"""
