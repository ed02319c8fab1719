"""An Index in this process's memory, for tests and single processes."""
