"""Which job is due next, and all that a run knows of hosts meanwhile. Pure: no I/O, no clock of its own."""
