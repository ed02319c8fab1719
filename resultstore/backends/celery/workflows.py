"""Workflows: removes all results that one root task has led to."""

from collections.abc import Iterator
from typing import Any

import msgspec
from celery import Celery
from celery.result import GroupResult, ResultSet

from resultstore.backends.celery.chord.header import read_header
from resultstore.backends.celery.setup import store_of
from resultstore.model import layout
from resultstore.model.errors import Misconfigured, ResultMissing
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


def forget_workflow(app: Celery, root_id: str | GroupResult) -> Forgotten:
    """Remove every result of a workflow, with its Artifacts and all other blobs, and its groups.

    Spilled arguments are left to their retention: another workflow may use them.

    Args:
        app: its result backend is resultstore.
        root_id: the id of its first task (`AsyncResult.root_id`, `task.request.root_id`); or a GroupResult, or the id
            of a group that was saved (`GroupResult.save()`) or is the header of a running chord.

    Raises:
        ResultMissing: nothing is known under this id.
        IndexUnavailable, BlobStoreUnavailable: call it again. The root and the notes are removed last.
    """
    store, backend = store_of(app), app.backend
    group_ids, roots = _roots(backend, root_id)
    notes = {root: store.index.unconfirmed.read_notes(layout.workflow_key(root)) for root in roots}
    found: dict[str, Result | None] = {}
    groups = set(group_ids)
    ahead = {*roots, *(one for noted in notes.values() for one in noted)}
    while ahead:
        asked = list(ahead)
        found |= dict(zip(asked, store.load_many(asked), strict=True))
        named = [one for result_id in asked for one in _children(backend, found[result_id])]
        groups |= {one for one, is_group in named if is_group}
        ahead = {one for one, is_group in named if not is_group} - found.keys()
    known = [one for one in found.values() if one is not None]
    if not known and not groups and not any(notes.values()):
        raise ResultMissing(
            f"no workflow is known under {_id(root_id)!r}: it was forgotten, it expired, or this is the id of a group "
            "that was not saved; pass the GroupResult then"
        )
    for result_id in sorted(found, key=lambda one: one in roots):
        backend.forget(result_id)
    for root in roots:
        store.index.keys.drop(layout.workflow_key(root))
    for group_id in groups:
        backend.groups.forget(group_id)
    artifacts = [artifact for one in known for artifact in one.artifacts]
    return Forgotten(
        root_id=_id(root_id),
        results=tuple(one.id for one in known),
        unfinished=tuple(one.id for one in known if not one.terminal),
        groups=tuple(sorted(groups)),
        artifacts=len(artifacts),
        artifact_bytes=sum(artifact.size_bytes for artifact in artifacts),
    )


def _id(given: str | GroupResult) -> str:
    return id_of(given.id if isinstance(given, ResultSet) else given)


def _roots(backend: Any, given: str | GroupResult) -> tuple[set[str], set[str]]:  # noqa: ANN401 - Celery's backends have no types
    """Return the ids of groups that the caller named, and of the tasks from which to follow the children."""
    own_id = _id(given)
    saved = None if isinstance(given, ResultSet) else backend.groups.restore(own_id)
    group = given if isinstance(given, ResultSet) else saved and saved["result"]
    if group:
        named = [each for one in group.results for each in _ids(one.as_tuple())]
        return {own_id, *(one for one, is_group in named if is_group)}, {one for one, is_group in named if not is_group}
    try:
        header = read_header(backend, own_id)
    except (ResultMissing, Misconfigured):
        return set(), {own_id}
    return {own_id}, {one.id for one in (*header.present, *header.missing)}


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
