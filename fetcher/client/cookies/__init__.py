"""
Owns cookies (RFC 6265): what servers set, what is sent where, and the files in which they are kept.

`rules` reads what a server says and knows where a cookie goes, `store` keeps several within bounds, `header` makes one
header of all that is to be sent, `jar` is a run's store with its files, and `netscape` how those are written.
"""
