"""Capture in Celery tasks: large return values and arguments are stored, and references travel."""
