"""The shipped app with one task; its worker is killed at the step of its work on an event in RS_TEST_DIES_AT."""

import os
import signal

from kombu.message import Message

from resultstore_tasks.app import app


def die(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


app.conf.include = ["resultstore_tasks.images.task"]  # it starts in half the time
match os.environ.get("RS_TEST_DIES_AT"):
    case "publish":
        app.send_task = die
    case "acknowledge":
        Message.ack = die
