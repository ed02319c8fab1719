"""Jobs: an existing Celery app with one line changed."""

import os

from celery import Celery

from resultstore import Settings

settings = Settings()  # reads the addresses of the servers from the environment
redis_url, broker_url = settings.index.url, settings.broker.url

# It was: backend=redis_url
app = Celery("jobs", broker=broker_url, backend=f"resultstore+{redis_url}")


@app.task
def table(rows: int) -> list[dict[str, object]]:
    """Return a large plain value, which went through Redis as a whole before."""
    return [{"row": number, "name": f"customer {number}", "paid": number % 3 == 0} for number in range(rows)]


@app.task
def video(size_mib: int) -> str:
    """Return an even larger one: a text of this many MiB."""
    return os.urandom(size_mib << 19).hex()
