"""
Where records go. Nothing heavy is imported here.

    Result --writer.Writer--> Record --formats: Sink--> bytes --files: Destination--> file, pipe or screen

A new format is one file with a `Sink`, and a line in `formats.SINKS`; one that owns its file (SQLite, Parquet) is a
whole `protocol.Output` instead. A new place is a `Destination` in `files.py`, chosen in `outputs.py`.
"""
