"""Trust: signs every Artifact that this store makes, and checks each one that comes back."""

from typing import Final

import msgspec

from resultstore.model.artifact import Artifact
from resultstore.model.errors import BadReference, Misconfigured, NotYours
from resultstore.model.mac import Macs
from resultstore.model.result import Result
from resultstore.settings import Settings
from resultstore.store.attempt import current

_PURPOSE: Final = "artifact"
_KEY_MIN_BYTES: Final = 16


class Trust:
    """Believes what was signed with our key. Without a key it believes everything: then nothing is signed.

    Whoever can publish to the broker or write to Redis may show us any Artifact; with a key, only one that this store
    made leads to bytes, and inside a task only one of the same owner.

    Args:
        macs: signs and checks.
    """

    def __init__(self, macs: Macs) -> None:
        self.macs = macs

    @classmethod
    def of(cls, settings: Settings) -> "Trust":
        """By `secret_key`, `secret_key_old` and `accept_unsigned`. Raises Misconfigured for a key that is too short."""
        secret = settings.secret_key.encode()
        if 0 < len(secret) < _KEY_MIN_BYTES:
            raise Misconfigured(f"RESULTSTORE_SECRET_KEY is shorter than {_KEY_MIN_BYTES} bytes: make a random one")
        older = [one.encode() for one in settings.secret_key_old.split()]
        return cls(Macs(secret, older=older, accept_unsigned=settings.accept_unsigned))

    def signed(self, artifact: Artifact) -> Artifact:
        """A copy with its mac; without a key, as it is."""
        if not self.macs:
            return artifact
        return msgspec.structs.replace(artifact, mac=self.macs.sign(_PURPOSE, *artifact.signed_parts()))

    def check(self, artifact: Artifact) -> None:
        """Raise BadReference for an Artifact that we did not make, NotYours for another owner's inside a task."""
        if not self._genuine(artifact):
            raise BadReference(
                f"artifact {artifact.name[:100]!r} of {artifact.id[:100]} was not made by this store, or was changed "
                "on its way: look the result up again (all processes need the same RESULTSTORE_SECRET_KEY)"
            )
        running = current()
        if running is not None and artifact.owner and artifact.owner != running.owner:
            raise NotYours(f"artifact {artifact.name!r} of {artifact.id} belongs to another owner than {running.id}")

    def vouches(self, result: Result) -> bool:
        """Whether every Artifact of `result` is genuine and one of this very Result and owner."""
        return not self.macs or all(self._belongs(artifact, result) for artifact in result.artifacts)

    def _belongs(self, artifact: Artifact, result: Result) -> bool:
        its_own = artifact.id == result.id and (artifact.owner == result.owner or not artifact.mac)
        return its_own and self._genuine(artifact)

    def _genuine(self, artifact: Artifact) -> bool:
        if not self.macs or (self.macs.accept_unsigned and not artifact.mac):
            return True
        return self.macs.agrees(artifact.mac, _PURPOSE, *artifact.signed_parts())
