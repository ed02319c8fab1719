"""The event stream (SSE): reading the index's feed, rendering changes, and sending them to open streams."""
