"""What exists: the nine assets, their checks and jobs, as Dagster sees them.

Belongs here: asset definitions, the order of work inside a run. Not here: prompts (content), single tasks (tasks), survival
(durable).
"""
