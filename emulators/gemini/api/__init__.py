"""Google's side of the wire: the models, the shape of a request, the rules it must keep, and the errors it is refused with.

Not here: faults, quotas and counts (the room above) and what an answer says (``writing/``).
"""
