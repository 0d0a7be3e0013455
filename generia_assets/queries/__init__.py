"""Queries of worlds' records in MongoDB: typed read models, shared by the command line and the pages.

Not here: writing (durable), Dagster, and rendering (cli, pages). Texts are returned unescaped; the renderers escape them.
"""
