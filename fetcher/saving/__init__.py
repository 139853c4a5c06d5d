"""Bodies as files: what they are called, and how they get there."""
