"""How people see it from a terminal: the ``generia`` command. Starts emulators as processes, never imports them."""
