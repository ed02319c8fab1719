"""Uploads: stored as the gateway stores them, for a task that adopts one."""

import hashlib
import uuid

from resultstore import Artifact, Store
from resultstore.model import layout


def uploaded(store: Store, content: bytes, *, owner: str) -> Artifact:
    """Store an upload, and return its Artifact as the gateway passes it to a task."""
    upload_id = f"up-{uuid.uuid4().hex}"
    key = layout.upload_key(upload_id, retention="1d", nonce=layout.new_nonce())
    stored = store.blobs.put(key, [content], media_type="text/plain")
    artifact = Artifact(
        id=upload_id,
        name="input",
        file_name="input.txt",
        key=key,
        etag=stored.etag,
        size_bytes=len(content),
        media_type="text/plain",
        sha256=hashlib.sha256(content).hexdigest(),
        stored_bytes=len(content),
        retention="1d",
        expires_at=layout.expiry("1d", start=store.blobs.now()),
        owner=owner,
    )
    return store.signatures.sign(artifact)
