"""Uploads: bytes from strangers become the input of a task: ticket, arrival, inspection, adoption."""
