"""The nine assets, their checks and jobs, as Dagster definitions.

Here: asset definitions, the order of work inside a run. Not here: prompts (content), single tasks (tasks), durable execution
(durable).
"""
