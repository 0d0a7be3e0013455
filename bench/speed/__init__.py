"""``make bench``: how fast worlds are made, and what a call costs, against bounds that are computed in the same run."""
