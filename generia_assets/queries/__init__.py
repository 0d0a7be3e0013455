"""What is kept of worlds, read for people: typed read models over MongoDB, shared by the command line and the pages.

Here: reading, in order and in bounds. Not here: writing (durable), Dagster, and how anything looks (cli, pages). Texts leave this
room as they were written; whoever shows them makes them inert.
"""
