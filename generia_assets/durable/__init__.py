"""How work survives: journal, ownership of worlds, generations, status and progress, budgets, publications.

Belongs here: everything that must still be true after a kill -9. Not here: what a task does, and how a provider is called.
"""
