"""How one run of a list is carried out: in this process, and later in several."""
