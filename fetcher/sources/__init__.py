"""Where requests come from: one file a kind of input."""
