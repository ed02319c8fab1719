"""Signatures: signs every Artifact that this store creates, and checks each one that is read back."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Final

import msgspec

from resultstore.model.artifact import Artifact
from resultstore.model.errors import BadReference, Misconfigured, NotYours
from resultstore.model.mac import Macs
from resultstore.model.result import Result
from resultstore.settings import Settings
from resultstore.store.attempt import Attempt, possible_attempts

_PURPOSE: Final = "artifact"
_KEY_MIN_BYTES: Final = 16


class Signatures:
    """Signs and checks Artifacts with the secret key. Without a key nothing is signed and every Artifact is accepted.

    An attacker who can write to the broker or to Redis can present any Artifact. With a key, only Artifacts that this
    store created can be read, and inside a task only those of the task's owner.

    Args:
        macs: computes and checks the MACs.
        system_tasks: names of tasks that may act for any owner; a trailing `*` matches any suffix.
    """

    def __init__(self, macs: Macs, *, system_tasks: Sequence[str] = ()) -> None:
        self.macs = macs
        self._system_tasks = tuple(system_tasks)

    @classmethod
    def from_settings(cls, settings: Settings) -> "Signatures":
        """Read the keys and flags from `settings`. Raises Misconfigured for a key that is too short."""
        secret = settings.security.secret_key.encode()
        if 0 < len(secret) < _KEY_MIN_BYTES:
            raise Misconfigured(f"RESULTSTORE_SECRET_KEY is shorter than {_KEY_MIN_BYTES} bytes: make a random one")
        older = [one.encode() for one in settings.security.secret_key_old.split()]
        macs = Macs(secret, older=older, accept_unsigned=settings.security.accept_unsigned)
        return cls(macs, system_tasks=[one.strip() for one in settings.security.system_tasks.split(",") if one.strip()])

    def sign(self, artifact: Artifact) -> Artifact:
        """Return a copy with its MAC; without a key, return `artifact` unchanged."""
        if not self.macs:
            return artifact
        return msgspec.structs.replace(artifact, mac=self.macs.sign(_PURPOSE, *artifact.signed_parts()))

    def check(self, artifact: Artifact, *, on_behalf_of: str | None = None) -> None:
        """Raise BadReference for a foreign Artifact, and inside a task NotYours for one of another owner.

        Args:
            artifact: the Artifact to check.
            on_behalf_of: the owner to act for, in place of the running task's owner.
        """
        if not self._has_valid_mac(artifact):
            raise BadReference(
                f"artifact {artifact.name[:100]!r} of {artifact.id[:100]} was not made by this store, or was "
                "changed: look the result up again (all processes need the same RESULTSTORE_SECRET_KEY)"
            )
        runs = possible_attempts()
        owners = {run.owner for run in runs}
        if on_behalf_of is not None:
            for run in runs:
                self._check_may_act(run, on_behalf_of)
            owners = {on_behalf_of}
        if owners and artifact.owner and owners != {artifact.owner}:
            raise NotYours(_not_yours(artifact, runs))

    def _check_may_act(self, run: Attempt, owner: str) -> None:
        if run.owner == owner or any(fnmatchcase(run.task, one) for one in self._system_tasks):
            return
        raise NotYours(
            f"task {run.task!r} of {run.id} may not act for another owner: name it in RESULTSTORE_SYSTEM_TASKS"
        )

    def is_authentic(self, result: Result) -> bool:
        """Return True if every Artifact of `result` is authentic and belongs to this Result and owner."""
        return not self.macs or all(self._belongs(artifact, result) for artifact in result.artifacts)

    def _belongs(self, artifact: Artifact, result: Result) -> bool:
        its_own = artifact.id == result.id and (artifact.owner == result.owner or not artifact.mac)
        return its_own and self._has_valid_mac(artifact)

    def _has_valid_mac(self, artifact: Artifact) -> bool:
        if not self.macs or (self.macs.accept_unsigned and not artifact.mac):
            return True
        return self.macs.agrees(artifact.mac, _PURPOSE, *artifact.signed_parts())


def _not_yours(artifact: Artifact, runs: Sequence[Attempt]) -> str:
    what = f"artifact {artifact.name!r} of {artifact.id} belongs to another owner"
    if not runs:
        return f"{what} than `on_behalf_of`: pass the artifact's owner"
    if len({run.owner for run in runs}) > 1:
        return f"{what}, or this thread belongs to no task: start it with contextvars.copy_context().run"
    way_out = "send the task with that owner, or read it by on_behalf_of (RESULTSTORE_SYSTEM_TASKS)"
    return f"{what} than {runs[0].id}: {way_out}"
