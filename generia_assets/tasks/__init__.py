"""What is done: the nine task types, one file each, as typed functions of parameters, tools and context to a typed result.

Knows neither Dagster nor MongoDB, so that a task can be tried with nothing but tools in hand.
"""
