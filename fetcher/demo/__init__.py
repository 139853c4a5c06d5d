"""The embedded site: what `afetch --demo` fetches, and a server that the tests build upon. See `fetcher.demo.site`."""
