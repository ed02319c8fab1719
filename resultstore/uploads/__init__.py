"""Uploads from untrusted clients: ticket, arrival, check, adoption as the input of a task. No HTTP routes."""
