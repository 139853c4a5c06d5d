"""One file an option group, each a decorator that `fetcher.cli.main` puts on the command."""
