"""Bench: measures resultstore beside its peers in one run, and writes build/bench.json.

Run by `make bench`, which starts the servers. Times are of this machine at this moment: trust the ratios.
"""

import json
from pathlib import Path

from benchmarks import first_preview, gateway, presign, records, sse, stream_up, uploads

BENCHMARKS = (presign, records, stream_up, uploads, first_preview, gateway, sse)


def main() -> None:
    rows = [row for benchmark in BENCHMARKS for row in benchmark.run()]
    for row in rows:
        row["ratio"] = round(row["ours"] / row["peer"], 4)
        print(
            "{name:<20} {unit:<12} ours {ours:>12.3f}   {peer_name:<26} {peer:>12.3f}   ratio {ratio:.3f}".format(**row)
        )
    out = Path("build/bench.json")
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
