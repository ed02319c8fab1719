"""A Celery app whose Redis does not run."""

from celery import Celery

app = Celery("away_jobs", broker="memory://", backend="resultstore+redis://127.0.0.1:1/0", set_as_current=False)
app.conf.resultstore_secret_key = "a secret of the tests, 32 bytes."
