"""A task's calls to the outside: clients, the budget ledger, publications."""
