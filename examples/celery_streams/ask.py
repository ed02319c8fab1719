"""Client: sends the tasks of jobs.py, and fetches their results."""

import hashlib
import urllib.request

from celery import chord
from jobs import app, busiest, packed, together, visits

from resultstore.backends.celery import store_of

store = store_of(app)

log = visits.delay(5).get(timeout=60)
print(f"{log.name}: {log.size_bytes} bytes, kept {log.retention}")

for page, count in (visits.s(1) | busiest.s()).delay().get(timeout=60):
    print(f"{page}: {count} visits")

for part in packed.delay(log, 3).get(timeout=60):
    with urllib.request.urlopen(store.url(part)) as answer:  # noqa: S310  the store's own URL
        body = answer.read()
    assert hashlib.sha256(body).hexdigest() == part.sha256
    print(f"{part.name}: {part.size_bytes} bytes fetched by URL, sha256 agrees")

days = chord((visits.s(1) for _ in range(3)), together.s())
print(f"3 days together: {days.delay().get(timeout=60)} visits")
