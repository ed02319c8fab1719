"""Runs the benchmarks: compares resultstore with its peers, and writes build/bench.json.

`make bench` starts the servers and runs all benchmarks. `make bench ONLY="records sse"` runs some, and keeps the rows
of the others from an earlier run. Times depend on this machine and its load: compare the ratios.
"""

import json
import sys
import traceback
from pathlib import Path

from benchmarks import canvas_bytes, celery_results, first_preview, gateway, presign, records, sse, stream_up, uploads
from benchmarks.measuring import Row

BENCHMARKS = {
    module.__name__.rpartition(".")[2]: module
    for module in (presign, records, canvas_bytes, stream_up, uploads, first_preview, gateway, sse, celery_results)
}
OUT = Path("build/bench.json")


def main() -> int:
    chosen = sys.argv[1:] or list(BENCHMARKS)
    known = json.loads(OUT.read_text()) if sys.argv[1:] and OUT.exists() else []
    rows: list[Row] = [row for row in known if row.get("benchmark") not in chosen]
    failed = []
    for name in chosen:
        try:
            found = BENCHMARKS[name].run()
        except Exception:  # noqa: BLE001 - one failure must not stop the others
            traceback.print_exc()
            failed.append(name)
            continue
        rows += [whole(row, name) for row in found]
        write(rows)
    print(f"failed: {', '.join(failed)}" if failed else f"written to {OUT}")
    return 1 if failed else 0


def whole(row: Row, benchmark: str) -> Row:
    """Add the benchmark's name and the ratio to a row, and print it."""
    row |= {"benchmark": benchmark, "ratio": round(float(row["ours"]) / float(row["peer"]), 4)}
    line = "{name:<34} {unit:<20} ours {ours:>12.3f}   {peer_name:<26} {peer:>12.3f}   ratio {ratio:.3f}".format(**row)
    print(f"{line} (bound {row['bound']})" if "bound" in row else line, flush=True)
    return row


def write(rows: list[Row]) -> None:
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
