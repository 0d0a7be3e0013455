"""What a world says: documents, drafts, prompts, and the variety that the program draws (axes, names, graph, calendar, shares).

Pure: no Dagster, no MongoDB, no network. Prompts and ban lists are data files that can be changed without touching Python.
"""
