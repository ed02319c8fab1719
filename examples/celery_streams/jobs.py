"""Jobs: four tasks that make or read large outputs."""

import gzip
from collections import Counter
from collections.abc import Iterator

from celery import Celery

from resultstore import Artifact, Output, Settings
from resultstore.backends.celery import setup, store_of

settings = Settings()
app = Celery("jobs", broker=settings.broker.url, backend=f"resultstore+{settings.index.url}")
setup(app)


@app.task
def visits(days: int) -> Output:
    """Return a log of 20,000 visits a day, which is generated while it is stored."""

    def lines() -> Iterator[bytes]:
        for number in range(days * 20_000):
            yield b"%d 10.0.0.%d /page/%d\n" % (number, number % 200, number % 17)

    return Output(data=lines(), name="visits.log", media_type="text/plain", retention="1d")


@app.task
def busiest(log: Artifact) -> list[tuple[str, int]]:
    """Return the three pages with the most visits; the log is read as a stream."""
    with store_of(app).open(log) as file:
        counted = Counter(line.split()[2].decode() for line in file)
    return counted.most_common(3)


@app.task
def packed(log: Artifact, parts: int) -> list[Artifact]:
    """Return the log in several gzip files; each one is visible as soon as it is stored."""
    store, made = store_of(app), []
    with store.open(log) as file:
        for number in range(parts):
            chunk = file.read(-(-log.size_bytes // parts))
            made.append(store.put(gzip.compress(chunk), name=f"part-{number}.gz", media_type="application/gzip"))
            store.progress(number + 1, parts, made[-1].name)
    return made


@app.task
def together(logs: list[Artifact]) -> int:
    """Count the visits in several logs: the body of a chord gets the Artifacts of its header."""
    total = 0
    for log in logs:
        with store_of(app).open(log) as file:
            total += sum(1 for _ in file)
    return total
