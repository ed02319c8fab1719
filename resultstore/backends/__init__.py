"""Backends: connect task queues (Celery, Dramatiq, taskiq) to a Store, one package each.

What they share is in `capture`, `dispatch` and `model`; a backend never imports another, nor the gateway.
"""
