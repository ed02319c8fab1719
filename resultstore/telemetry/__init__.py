"""Logs, tracing, and what must never appear in them. Nothing here knows a Store."""
