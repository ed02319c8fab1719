"""Waiting for Celery results, in threads and coroutines."""
