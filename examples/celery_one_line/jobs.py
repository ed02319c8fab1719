"""Jobs: an app as it was before, but for one line."""

import os

from celery import Celery

from resultstore import Settings

settings = Settings()  # where this example finds its servers
redis_url, broker_url = settings.index.url, settings.broker.url

# It was: backend=redis_url
app = Celery("jobs", broker=broker_url, backend=f"resultstore+{redis_url}")


@app.task
def table(rows: int) -> list[dict[str, object]]:
    """A large plain value: it used to go through Redis whole."""
    return [{"row": number, "name": f"customer {number}", "paid": number % 3 == 0} for number in range(rows)]


@app.task
def video(size_mib: int) -> str:
    """An even larger one: text of so many MiB."""
    return os.urandom(size_mib << 19).hex()
