"""Documents, drafts and prompts of a world, and its seeded random choices (axes, names, graph, calendar, shares).

Pure: no Dagster, no MongoDB, no network. Prompts and ban lists are data files that can be changed without touching Python.
"""
