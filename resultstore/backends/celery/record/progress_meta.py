"""ProgressMeta: the meta of Celery's PROGRESS state as a Progress, and back."""

from collections.abc import Mapping
from typing import Any, Final

from resultstore.model.result import Progress

_NOTES: Final = ("description", "note", "status", "message")  # celery-progress, our own, and the guides of others


def read_progress(meta: object) -> Progress | None:
    """Return the Progress in the meta of `Task.update_state`; None if it has no number `current`.

    Celery's own documentation and celery-progress write `{"current": 3, "total": 10}`. The first text of
    `description`, `note`, `status` and `message` becomes the note.
    """
    if not isinstance(meta, Mapping) or not _is_number(meta.get("current")):
        return None
    note = next((text for name in _NOTES if isinstance(text := meta.get(name), str) and text), "")
    return Progress.of(meta["current"], meta.get("total") or 0, note)


def progress_meta(progress: Progress) -> dict[str, Any]:
    """Return what `AsyncResult.info` shows of a Progress, with the names that celery-progress reads."""
    return {
        "pending": False,
        "current": progress.done,
        "total": progress.total,
        "percent": round(progress.percent or 0.0, 2),
        "description": progress.note,
    }


def _is_number(given: Any) -> bool:  # noqa: ANN401 - whatever a task reports
    try:
        float(given)
    except (TypeError, ValueError, OverflowError):
        return False
    return True
