"""Failures: one sentence for users, without ids, and the most specific remedy."""

import pytest

from resultstore.gateway.failures import failure_view
from resultstore.model.result import Failure, Result, State

ID = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
PROGRAM_ERROR = "The task stopped because of an error in its program."


@pytest.mark.parametrize(
    ("type_name", "message", "summary", "hint"),
    [
        (
            "BadInput",
            f"image 'cat.jpg' of {ID}: it is damaged or cut short; send the whole file",
            "It is damaged or cut short.",
            "Send the whole file.",
        ),
        (
            "UploadRejected",
            f"image 'a.jpg' of {ID}: it cannot be decoded (VipsJpeg: early end): it is cut short; send the whole file",
            "It cannot be decoded: it is cut short.",
            "Send the whole file.",
        ),
        ("BadInput", f"""table "it's.csv" of {ID}: row 2 has 3 cells; mend it""", "Row 2 has 3 cells.", "Mend it."),
        (
            "UploadRejected",
            "'photo.jpg' was declared as image/jpeg and is text/html: send a file of the declared type",
            "'photo.jpg' was declared as image/jpeg and is text/html.",
            "Send a file of the declared type.",
        ),
        (
            "UploadRejected",
            f"document 'x: y.pdf' of {ID}: it is encrypted",
            "It is encrypted.",
            "Upload a complete file of the declared type, within the limits of the task.",
        ),
        (
            "WorkerLostError",
            "Worker exited prematurely: signal 9 (SIGKILL) Job: 3.",
            "The worker crashed, possibly because it ran out of memory.",
            "Try again.",
        ),
        ("TaskRevokedError", "terminated", "It was cancelled.", ""),
        ("TaskRevokedError", f"{ID} was cancelled or deleted while it waited", "It was cancelled.", ""),
        ("ValueError", "amount must be positive: it is -3", "Amount must be positive: it is -3.", ""),
        ("ValueError", f"order {ID} has no lines", "Order has no lines.", ""),
        ("KeyError", "'a'", PROGRAM_ERROR, ""),
        ("ValueError", "Traceback:\n" + "x y " * 100, PROGRAM_ERROR, ""),
    ],
)
def test_failure_is_one_sentence_without_ids(type_name, message, summary, hint):
    result = Result(id=ID, state=State.FAILURE, failure=Failure(type_name, message))

    view = failure_view(result)

    assert (view.summary, view.hint) == (summary, hint)
    assert (view.type, view.message) == (type_name, message)


def test_a_revoked_result_says_it_was_cancelled():
    result = Result(id=ID, state=State.REVOKED, failure=Failure("Terminated", "signal 15"))

    assert (failure_view(result).summary, failure_view(result).hint) == ("It was cancelled.", "")


def test_id_that_is_no_uuid_is_left_out():
    result = Result(id="job-7", state=State.FAILURE, failure=Failure("BadInput", "its part of job-7 is short; send it"))

    assert failure_view(result).summary == "Its part is short."
