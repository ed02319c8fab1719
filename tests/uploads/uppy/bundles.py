"""Bundles of the guide's code with a published major version of Uppy, as one script for a browser."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
GUIDE = ROOT / "docs" / "how-to" / "uppy.md"
INSTALL_LIMIT_S = 300


def guide_code(major: int) -> str:
    """Return the guide's code for a major version."""
    section = GUIDE.read_text().partition(f"## Uppy {major}\n")[2].partition("\n## ")[0]
    [code] = re.findall(r"^```js\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    return code


def bundle(major: int, code: str, *, name: str) -> str:
    """Bundle `code` with its imports; `token` and `uppy` are globals of the page."""
    folder = installed(major)
    entry = folder / f"{name}.js"
    entry.write_text(f"const token = window.token\n{code}\nwindow.uppy = uppy\n")
    command = [folder / "node_modules" / ".bin" / "esbuild", entry, "--bundle", "--format=esm", "--log-level=warning"]
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=folder).stdout


def installed(major: int) -> Path:
    """Install the newest release of this major version and a bundler with npm; return the folder."""
    folder = ROOT / "build" / "uppy" / str(major)
    if not (folder / "node_modules" / ".bin" / "esbuild").exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text('{"private": true}\n')
        packages = [f"@uppy/core@{major}", f"@uppy/aws-s3@{major}", "esbuild"]
        subprocess.run(
            ["npm", "install", "--no-audit", "--no-fund", *packages], check=True, cwd=folder, timeout=INSTALL_LIMIT_S
        )
    return folder
