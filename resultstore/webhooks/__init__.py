"""Webhooks: HTTP requests that report the end of work, and the guard of the addresses they may be sent to."""
