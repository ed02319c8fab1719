"""presign: presigned download URLs per CPU second, compared with boto3, without a server."""

import os
import time
from collections.abc import Callable
from statistics import median

from benchmarks.measuring import Row, row, s3_client
from resultstore import Artifact, Settings, connect
from resultstore.model import layout

OURS, PEER = 20_000, 2_000
ROUNDS = 5


def run() -> list[Row]:
    os.environ.setdefault("AWS_ACCESS_KEY_ID", os.environ["RS_TEST_S3_ACCESS_KEY"])
    os.environ.setdefault("AWS_SECRET_ACCESS_KEY", os.environ["RS_TEST_S3_SECRET_KEY"])
    store = connect(
        Settings(index_url="memory://", blobs_url="s3://bench/root", s3_endpoint=os.environ["RS_TEST_S3_ENDPOINT"])
    )
    signer, key = store.signer, artifact().key
    client = s3_client()
    params = {
        "Bucket": "bench",
        "Key": key,
        "ResponseContentType": "application/pdf",
        "ResponseContentDisposition": 'attachment; filename="report.pdf"',
    }

    def sign() -> None:
        signer.sign_get(key, expires_in_s=900, file_name="report.pdf", media_type="application/pdf")

    def peer() -> None:
        client.generate_presigned_url("get_object", Params=params, ExpiresIn=900)

    rates = [(per_cpu_s(sign, OURS), per_cpu_s(peer, PEER)) for _ in range(ROUNDS)]
    ours, theirs = (median(column) for column in zip(*rates, strict=True))
    return [row("presign_per_s", "URLs/CPU-s", ours, "boto3", theirs)]


def per_cpu_s(work: Callable[[], None], times: int) -> float:
    began = time.process_time()
    for _ in range(times):
        work()
    return times / (time.process_time() - began)


def artifact() -> Artifact:
    nonce = layout.new_nonce()
    return Artifact(
        id="job",
        name="report.pdf",
        file_name="report.pdf",
        key=layout.blob_key("job", retention="30d", nonce=nonce, n=0),
        etag="",
        size_bytes=1,
        media_type="application/pdf",
        sha256="0" * 64,
        stored_bytes=1,
    )
