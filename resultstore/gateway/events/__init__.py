"""Stream: what changes, told to whoever watches, as server-sent events."""
