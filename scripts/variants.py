"""Writes constraints/NAME.txt for each entry of constraints/variants.toml: the pins that differ from constraints.txt.

Run by `make constraints`. `uv` resolves each entry together with pyproject.toml and keeps every other pin.
"""

import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path

from _pins import CONSTRAINTS, ROOT, VARIANTS, pins_of

UV = ROOT / "build" / "uv" / "bin" / "uv"


def main() -> int:
    """Write every file, and remove those whose entry is gone."""
    entries = tomllib.loads((VARIANTS / "variants.toml").read_text())
    for old in VARIANTS.glob("*.txt"):
        if old.stem not in entries:
            old.unlink()
    for name, entry in entries.items():
        differing = _resolved(entry["needs"])
        (VARIANTS / f"{name}.txt").write_text("".join(differing.values()))
        print(f"{name}: {', '.join(pin.split()[0] for pin in differing.values())}")
    return 0


def _resolved(needs: Sequence[str]) -> dict[str, str]:
    """Return the pins that differ, by the name of their distribution."""
    with tempfile.TemporaryDirectory() as folder:
        wanted, output = Path(folder) / "wanted.in", Path(folder) / "all.txt"
        wanted.write_text("\n".join(needs))
        output.write_text(CONSTRAINTS.read_text())  # uv keeps these pins where it can
        how = ["--all-extras", "--group", "dev", "--universal", "--python-version", "3.11", "--generate-hashes"]
        quiet = ["--quiet", "--no-header", "--no-annotate", "--output-file", str(output)]
        subprocess.run([UV, "pip", "compile", "pyproject.toml", wanted, *how, *quiet], cwd=ROOT, check=True)
        usual, found = pins_of(CONSTRAINTS.read_text()), pins_of(output.read_text())
    return {name: pin for name, pin in found.items() if usual.get(name) != pin}


if __name__ == "__main__":
    sys.exit(main())
