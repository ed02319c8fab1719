"""Jobs: three tasks with large outputs."""

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
    """A log of visits: 20,000 lines a day, made while it is stored."""

    def lines() -> Iterator[bytes]:
        for number in range(days * 20_000):
            yield b"%d 10.0.0.%d /page/%d\n" % (number, number % 200, number % 17)

    return Output(data=lines(), name="visits.log", media_type="text/plain", retention="1d")


@app.task
def busiest(log: Artifact) -> list[tuple[str, int]]:
    """The three pages with the most visits; the log is read as a stream."""
    with store_of(app).open(log) as file:
        counted = Counter(line.split()[2].decode() for line in file)
    return counted.most_common(3)


@app.task
def packed(log: Artifact, parts: int) -> list[Artifact]:
    """The log in several gzip files, each of them visible as soon as it is there."""
    store, made = store_of(app), []
    with store.open(log) as file:
        for number in range(parts):
            chunk = file.read(-(-log.size_bytes // parts))
            made.append(store.put(gzip.compress(chunk), name=f"part-{number}.gz", media_type="application/gzip"))
            store.progress(number + 1, parts, made[-1].name)
    return made


@app.task
def together(logs: list[Artifact]) -> int:
    """How many visits several logs hold: the body of a chord gets its header's Artifacts."""
    total = 0
    for log in logs:
        with store_of(app).open(log) as file:
            total += sum(1 for _ in file)
    return total
