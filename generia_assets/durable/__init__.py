"""How work survives crashes: leases, tasks, calls, orders, events.

Belongs here: everything that must still be true after a kill -9. Not here: what a task does, and how a provider is called.
"""
