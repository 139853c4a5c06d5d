"""Owns the entry point of `afetch` and of `python -m fetcher`: it is ready for Ctrl-C before it imports the command."""

from __future__ import annotations

from fetcher.cli.interrupt import leave_quietly


def run() -> None:
    """The command, and the end of the process."""
    leave_quietly()
    import gc

    # Nothing of what is imported is garbage, and looking for it is a tenth of a short run. It begins with the run.
    gc.disable()
    from fetcher.cli.main import run as run_command

    run_command()


if __name__ == "__main__":
    run()
