"""Google's side of the API: the models, the shape of a request, the rules for requests, and the errors.

Not here: faults, quotas and counts (the parent package) and the content of answers (``writing/``).
"""
