"""Build hook: the addresses of the project, and a README whose links work outside the repository."""

import re
from pathlib import Path
from typing import Any, Final

from hatchling.metadata.plugin.interface import MetadataHookInterface

BRANCH: Final = "main"
_TARGETS: Final = re.compile(r"""(\]\(|(?:src|href|srcset)=")(?![a-z][a-z0-9+.-]*:|#|/)([^)\s"]+)""")
_PICTURES: Final = (".gif", ".jpg", ".jpeg", ".png", ".svg", ".webp")
_CODE: Final = re.compile(r"(?ms)(^```.*?^```$|`[^`\n]+`)")


class ProjectMetadata(MetadataHookInterface):
    """Adds the project's addresses and its README. `repository` in pyproject.toml is the only place of the address."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set `urls` and `readme`."""
        repository: str = self.config["repository"]
        metadata["urls"] = {
            "Documentation": f"{repository}/blob/{BRANCH}/docs/index.md",
            "Source": repository,
            "Issues": f"{repository}/issues",
            "Changelog": f"{repository}/tree/{BRANCH}/changelog",
        }
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": make_links_absolute(text, repository)}


def make_links_absolute(markdown: str, repository: str) -> str:
    """Return the text with its relative links made absolute, but for those in code. Pictures get their raw file."""

    def absolute(match: re.Match[str]) -> str:
        place = "raw" if match[2].partition("#")[0].lower().endswith(_PICTURES) else "blob"
        return f"{match[1]}{repository}/{place}/{BRANCH}/{match[2].removeprefix('./')}"

    parts = _CODE.split(markdown)
    return "".join(part if n % 2 else _TARGETS.sub(absolute, part) for n, part in enumerate(parts))
