"""
Where requests come from. Nothing heavy is imported here.

    names --reader.Feed--> blocks of bytes --lines.LineSplitter--> lines --lines.LineParser--> Requests
    a program's iterable --iterable.Items-------------------------------LineParser.entry--> Requests

Whatever gives requests has the face of `protocol.Source`, and nobody above asks which kind it is. A new kind of input
(JSON Lines, CSV, compressed) is one file beside `lines.py` with its own splitter and parser of the same two faces,
chosen in `reader.py`; what all have in common (base URL, params, user info, method, body) stays in `LineParser.entry`.
"""
