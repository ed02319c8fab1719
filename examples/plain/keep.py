"""Keep: store a large output and read it back, without a framework or a server. Run it: `python keep.py`."""

from pathlib import Path

from resultstore import Settings, connect

store = connect(Settings(index_url="memory://", blobs_url=(Path.cwd() / "results").as_uri()))

with store.writer(name="primes.txt", metadata={"below": 100_000}) as file:
    for number in range(2, 100_000):
        if all(number % n for n in range(2, int(number**0.5) + 1)):
            file.write(b"%d\n" % number)

kept = store.load(file.artifact.id).artifact("primes.txt")
with store.open(kept) as content:
    content.seek(-6, 2)
    print(f"{kept.id}: {kept.size_bytes} bytes, the last prime below 100,000 is {int(content.read())}")
