"""What happens when a Celery message is sent."""
