"""What afetch promises, one sentence a test. Servers are in `tests.servers`, fixtures in `tests.conftest`."""
