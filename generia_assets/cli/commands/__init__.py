"""The commands of ``generia``, one file for each group: options, the call, what is printed."""
