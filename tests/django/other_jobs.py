"""A Celery app with Celery's own result backend."""

from celery import Celery

app = Celery("other_jobs", broker="memory://", backend="cache+memory://", set_as_current=False)
