"""What MongoDB keeps of worlds, as people read it: typed read models, shared by the command line and the pages.

Here: reading, in order and with limits. Not here: writing (durable), Dagster, and how anything looks (cli, pages). Texts are
returned as they were written; whoever shows them escapes them.
"""
