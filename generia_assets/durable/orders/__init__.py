"""Orders: parameters, records, what a run does with a world, and removal."""
