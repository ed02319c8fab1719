"""What a Celery worker process does besides running tasks."""
