"""`python -m fetcher` is `afetch`."""

from __future__ import annotations

from fetcher.cli.main import run

if __name__ == "__main__":
    run()
