"""Logs, tracing, and the redaction of secrets in them. Nothing here uses a Store."""
