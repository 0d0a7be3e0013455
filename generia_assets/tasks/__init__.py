"""The nine task types, one file each: typed functions from parameters, clients and context to a typed result.

Without Dagster and MongoDB, so that a task can be tried with clients alone.
"""
