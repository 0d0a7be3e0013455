"""The nine assets, their checks and jobs, as Dagster definitions.

Not here: prompts (content), single tasks (tasks), durable execution (durable).
"""
