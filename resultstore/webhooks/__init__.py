"""Webhooks: an HTTP request to an address that was left with the work, when the work ends."""
