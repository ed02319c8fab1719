"""Bundles: the guide's own code with the published Uppy of a major version, as one script for a browser."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
GUIDE = ROOT / "docs" / "how-to" / "uppy.md"
INSTALL_LIMIT_S = 300


def guide_code(major: int) -> str:
    """What the guide shows for a major version."""
    section = GUIDE.read_text().partition(f"## Uppy {major}\n")[2].partition("\n## ")[0]
    [code] = re.findall(r"^```js\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    return code


def bundle(major: int, code: str, *, name: str) -> str:
    """`code` with all that it imports; `token` and `uppy` are the page's."""
    folder = installed(major)
    entry = folder / f"{name}.js"
    entry.write_text(f"const token = window.token\n{code}\nwindow.uppy = uppy\n")
    command = [folder / "node_modules" / ".bin" / "esbuild", entry, "--bundle", "--format=esm", "--log-level=warning"]
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=folder).stdout


def installed(major: int) -> Path:
    """The folder where npm has put the newest release of this major version, and what bundles it."""
    folder = ROOT / "build" / "uppy" / str(major)
    if not (folder / "node_modules" / ".bin" / "esbuild").exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text('{"private": true}\n')
        packages = [f"@uppy/core@{major}", f"@uppy/aws-s3@{major}", "esbuild"]
        subprocess.run(
            ["npm", "install", "--no-audit", "--no-fund", *packages], check=True, cwd=folder, timeout=INSTALL_LIMIT_S
        )
    return folder
