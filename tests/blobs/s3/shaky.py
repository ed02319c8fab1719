"""Steps of the tests of S3: a connection that breaks, a producer that fails, quick retries."""

import os
import socket
import threading
from contextlib import contextmanager, suppress

from resultstore.blobs.obstore.retry import Retries
from tests.faults.proxy import Fault

MIB = 1024 * 1024
KEY = "blobs/30d/ab/7f3a/0123456789abcdef0123456789abcdef.0"
QUICK = Retries(tries=4, first_s=0.01, longest_s=0.02)
BEFORE = [Fault.ANSWER_503_BEFORE, Fault.CUT_BEFORE]
AFTER = [Fault.ANSWER_503_AFTER, Fault.CUT_AFTER]


@contextmanager
def cutting_line(endpoint, *, after_bytes, times):
    """A line to the store that breaks off after so many bytes of an answer, `times` times; yields (url, cuts)."""
    host, port = endpoint.removeprefix("http://").split(":")
    listener = socket.create_server(("127.0.0.1", 0))
    cuts = []

    def pump(source, sink, *, limited):
        sent = 0
        while data := source.recv(65_536):
            sent += len(data)
            if limited and sent > after_bytes and len(cuts) < times:
                cuts.append(sent)
                break
            sink.sendall(data)
        for one in (source, sink):
            one.shutdown(socket.SHUT_RDWR)

    def quietly(source, sink, *, limited):
        with suppress(OSError):
            pump(source, sink, limited=limited)

    def serve():
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            server = socket.create_connection((host, int(port)))
            threading.Thread(target=quietly, args=(client, server), kwargs={"limited": False}, daemon=True).start()
            threading.Thread(target=quietly, args=(server, client), kwargs={"limited": True}, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}", cuts
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def some(size_bytes, *, then=None):
    """Random MiB, and perhaps an exception at the end."""
    for _ in range(size_bytes // MIB):
        yield os.urandom(MIB)
    if then is not None:
        raise then


def put(blobs, chunks, **options):
    return blobs.put(KEY, chunks, media_type="application/octet-stream", **options)
