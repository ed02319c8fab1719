"""stream_up: 1 GiB from a generator into a real store, compared with boto3's upload_fileobj and raw obstore."""

import io
import json
import os
import sys
from collections.abc import Iterator

import obstore
from boto3.s3.transfer import TransferConfig
from obstore.store import S3Store

from benchmarks.measuring import Row, bucket, empty, in_a_process, measured, medians, row, s3_client
from resultstore import Settings, connect

MIB = os.urandom(1 << 20)
SIZE_MIB = 1024
ROUNDS = 3
CONTESTANTS = ("ours", "boto3", "obstore")


def run() -> list[Row]:
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in CONTESTANTS}
    with bucket() as name:
        for number in range(ROUNDS):
            for contestant in CONTESTANTS if number % 2 == 0 else reversed(CONTESTANTS):
                runs[contestant].append(in_a_process("benchmarks.stream_up", contestant))
                empty(name)
    ours, boto3, raw = (medians(runs[name]) for name in CONTESTANTS)
    return [
        row("stream_up_1gib", "wall s", ours["wall_s"], "boto3 upload_fileobj", boto3["wall_s"]),
        row("stream_up_1gib", "cpu s", ours["cpu_s"], "boto3 upload_fileobj", boto3["cpu_s"]),
        row("stream_up_1gib", "wall s", ours["wall_s"], "raw obstore", raw["wall_s"]),
        row("stream_up_1gib", "cpu s", ours["cpu_s"], "raw obstore", raw["cpu_s"]),
        row("stream_up_rss_mib", "MiB over base", ours["rss_mib"], "boto3 upload_fileobj", boto3["rss_mib"]),
    ]


def chunks(size_mib: int = SIZE_MIB) -> Iterator[bytes]:
    """Yield chunks in fresh memory, like a real producer: one shared object would hide a leak."""
    for number in range(size_mib):
        yield MIB[:-4] + number.to_bytes(4, "big")


class Pipe(io.RawIOBase):
    """The same bytes as a non-seekable file, for upload_fileobj."""

    def __init__(self) -> None:
        super().__init__()
        self._left = SIZE_MIB << 20

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        wanted = self._left if size < 0 else min(size, self._left)
        self._left -= wanted
        whole, rest = divmod(wanted, len(MIB))
        return MIB * whole + MIB[:rest]


def ours() -> dict[str, float]:
    store = connect(
        Settings(
            index_url="memory://",
            blobs_url=f"s3://{os.environ['BENCH_BUCKET']}/ours",
            s3_endpoint=os.environ["RS_TEST_S3_ENDPOINT"],
        )
    )
    store.put(b"warm")
    return measured(lambda: store.put(chunks(), name="stream.bin"))


def with_boto3() -> dict[str, float]:
    client = s3_client()
    client.put_object(Bucket=os.environ["BENCH_BUCKET"], Key="warm", Body=b"warm")
    config = TransferConfig(preferred_transfer_client="classic")
    return measured(
        lambda: client.upload_fileobj(Pipe(), os.environ["BENCH_BUCKET"], "boto3/stream.bin", Config=config)
    )


def with_obstore() -> dict[str, float]:
    """Upload as obstore's documentation shows, with the same checksum as resultstore."""
    store = S3Store(
        os.environ["BENCH_BUCKET"],
        endpoint=os.environ["RS_TEST_S3_ENDPOINT"],
        region="us-east-1",
        unsigned_payload=True,
        checksum_algorithm="CRC64NVME",
        client_options={"allow_http": True},
    )
    obstore.put(store, "obstore/warm", b"warm")
    return measured(lambda: obstore.put(store, "obstore/stream.bin", chunks(), chunk_size=8 << 20, max_concurrency=4))


if __name__ == "__main__":
    print(json.dumps({"ours": ours, "boto3": with_boto3, "obstore": with_obstore}[sys.argv[1]]()))
