"""Client: waits for small and large results of jobs.py, as in any Celery project."""

import time

from jobs import app, settings, table, video

print(f"results over {settings.results.inline_max_bytes} bytes are stored in {settings.blobs.url}")

rows = table.delay(10).get(timeout=60)
print(f"{len(rows)} rows")

sent = video.delay(100)
began = time.monotonic()
text = sent.get(timeout=120)
print(f"{len(text) >> 20} MiB in {time.monotonic() - began:.1f} s")

began = time.monotonic()
state = app.AsyncResult(sent.id).state  # reads the state only, not 100 MiB
print(f"{state} in {(time.monotonic() - began) * 1000:.1f} ms")
kept_bytes = app.backend.client.memory_usage(app.backend.get_key_for_task(sent.id))
print(f"Redis keeps {kept_bytes} bytes of it")
