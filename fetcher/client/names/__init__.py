"""
Owns names: from a host to the addresses that may be connected to.

`config` is what it can be told, `askers` are who is asked (c-ares, the system), `resolver` asks once for many,
remembers and falls back, `addresses` knows which addresses are nobody's on the internet, `tally` counts.
"""
