"""Workflows: removes all results that one root task has led to."""

from collections.abc import Iterator
from typing import Any

import msgspec
from celery import Celery

from resultstore.backends.celery.setup import store_of
from resultstore.model import layout
from resultstore.model.ids import id_of
from resultstore.model.result import Result


class Forgotten(msgspec.Struct, frozen=True, kw_only=True):
    """What `forget_workflow` has removed.

    Args:
        root_id: of the workflow.
        results: the ids whose results were removed.
        unfinished: those that had not ended: a worker may still store their outcome, unless they are revoked.
        groups: the groups that were removed.
        artifacts: how many Artifacts the results had.
        artifact_bytes: the size of their content.
    """

    root_id: str
    results: tuple[str, ...]
    unfinished: tuple[str, ...]
    groups: tuple[str, ...]
    artifacts: int
    artifact_bytes: int


def forget_workflow(app: Celery, root_id: str) -> Forgotten:
    """Remove every result of a workflow, with its Artifacts and all other blobs, and its groups.

    Spilled arguments are left to their retention: another workflow may use them.

    Args:
        app: its result backend is resultstore.
        root_id: the id of its first task (`AsyncResult.root_id`, `task.request.root_id`).

    Raises IndexUnavailable and BlobStoreUnavailable: call it again then. The root and the notes are removed last.
    """
    store, backend, root_id = store_of(app), app.backend, id_of(root_id)
    found: dict[str, Result | None] = {}
    groups: set[str] = set()
    noted = layout.workflow_key(root_id)
    ahead = {root_id, *store.index.unconfirmed.read_notes(noted)}
    while ahead:
        asked = list(ahead)
        found |= dict(zip(asked, store.load_many(asked), strict=True))
        named = [one for result_id in asked for one in _children(backend, found[result_id])]
        groups |= {one for one, is_group in named if is_group}
        ahead = {one for one, is_group in named if not is_group} - found.keys()
    for result_id in sorted(found, key=lambda one: one == root_id):
        backend.forget(result_id)
    store.index.keys.drop(noted)
    for group_id in groups:
        backend.groups.forget(group_id)
    known = [one for one in found.values() if one is not None]
    artifacts = [artifact for one in known for artifact in one.artifacts]
    return Forgotten(
        root_id=root_id,
        results=tuple(one.id for one in known),
        unfinished=tuple(one.id for one in known if not one.terminal),
        groups=tuple(sorted(groups)),
        artifacts=len(artifacts),
        artifact_bytes=sum(artifact.size_bytes for artifact in artifacts),
    )


def _children(backend: Any, result: Result | None) -> Iterator[tuple[str, bool]]:  # noqa: ANN401 - Celery's backends have no types
    kept = {} if result is None else backend.result_decoder.decode_extras(result)
    for child in kept.get("children") or ():
        yield from _ids(child)


def _ids(plain: Any) -> Iterator[tuple[str, bool]]:  # noqa: ANN401 - what `AsyncResult.as_tuple` returns
    """Yield each id in a result's tuple `((id, parent), [results of a group] or None)`, and whether it is a group's."""
    (own_id, parent), members = plain
    yield id_of(own_id), members is not None
    for one in (*(members or ()), *([parent] if parent else [])):
        yield from _ids(one)
