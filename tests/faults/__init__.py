"""The whole product while its machine misbehaves: `python -m tests.faults --help`."""
