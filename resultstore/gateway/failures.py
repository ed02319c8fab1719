"""FailureView: why a Result failed, in one sentence for users, with what they can do."""

import re
from collections.abc import Mapping
from typing import Final

from pydantic import BaseModel

from resultstore.model.result import Failure, Result, State

# What a user can do about a failure, by its type, if its message does not say.
_HINTS: Final[Mapping[str, str]] = {
    "UploadRejected": "Upload a complete file of the declared type, within the limits of the task.",
    "BadInput": "The file is damaged, or too large for the task. Check it, or upload another one.",
    "WrongType": "Upload a file of a type that the task accepts.",
    "TooLarge": "Upload a smaller file.",
    "ArtifactExpired": "The input file has expired. Upload it again.",
    "TimeLimitExceeded": "Try a smaller file.",
    "SoftTimeLimitExceeded": "Try a smaller file.",
    "WorkerLostError": "Try again.",
    "CommitUnknown": "Check again in a minute.",
    "BlobStoreUnavailable": "Try again.",
    "BlobStoreFull": "Contact the operator.",
}
_CANCELLED: Final = "It was cancelled."
# The sentence for failures whose message is for operators.
_SUMMARIES: Final[Mapping[str, str]] = {
    "TimeLimitExceeded": "The task took too long and was stopped.",
    "SoftTimeLimitExceeded": "The task took too long and was stopped.",
    "WorkerLostError": "The worker crashed, possibly because it ran out of memory.",
    "CommitUnknown": "The outcome is not known yet.",
    "TaskRevokedError": _CANCELLED,
    "BlobStoreUnavailable": "The object store was unavailable.",
    "BlobStoreFull": "The object store is full.",
}
_UNEXPLAINED: Final = "The task stopped because of an error in its program."
_INPUT_ERRORS: Final = frozenset({"BadInput", "UploadRejected", "WrongType", "TooLarge", "ArtifactExpired"})
_ID: Final = r"~?[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
# `image 'cat.jpg' of 7f3a...: `, which the shipped tasks put before their messages.
_SUBJECT: Final = re.compile(r"\A[a-z ]{2,20} (['\"]).{0,255}?\1(?: of \S{1,255}?)?: (?=\S)")
_DECODER_WORDS: Final = re.compile(r" \([^()]*(?:: |exit code)[^()]*\)")  # `(VipsJpeg: premature end of JPEG image)`
_OF_ID: Final = re.compile(rf"(?: of| with the id| for)? {_ID}")
_SENTENCE: Final = re.compile(r"\w[^\n]* [^\n]*\w")
_MAX_CHARS: Final = 300


class FailureView(BaseModel):
    """Why a Result failed.

    `summary` is one sentence for users, without ids. `hint` says what they can do, "" if there is nothing to advise.
    `type` and `message` are the exception, for developers.
    """

    type: str
    message: str
    summary: str
    hint: str


def failure_view(result: Result) -> FailureView | None:
    """Return the view of a Result's failure, or None if it has none."""
    why = result.failure
    if why is None:
        return None
    fault, remedy = _explained(why, result)
    hint = _sentence(remedy) if remedy else _HINTS.get(why.type, "")
    return FailureView(type=why.type, message=why.message, summary=fault, hint=hint)


def _explained(why: Failure, result: Result) -> tuple[str, str]:
    """Return a failure as a sentence, and the remedy that its message names, "" if it names none."""
    if result.state == State.REVOKED:
        return _CANCELLED, ""
    if why.type in _SUMMARIES:
        return _SUMMARIES[why.type], ""
    text = _plain(why.message, result)
    if len(text) > _MAX_CHARS or not _SENTENCE.search(text):
        return _UNEXPLAINED, ""
    if why.type not in _INPUT_ERRORS:
        return _sentence(text), ""
    for mark in ("; ", ": "):  # the style of the shipped messages: what is wrong; what to do
        fault, found, remedy = text.rpartition(mark)
        if found and _SENTENCE.search(fault):
            return _sentence(fault), remedy
    return _sentence(text), ""


def _plain(message: str, result: Result) -> str:
    """Return a message without ids, the subject that names the file, and what a decoder wrote."""
    text = _DECODER_WORDS.sub("", _SUBJECT.sub("", message.strip()))
    if len(result.id) > 1:
        text = text.replace(f" of {result.id}", "")
    return _OF_ID.sub("", text).strip()


def _sentence(text: str) -> str:
    """Return `text` with a capital and a full stop."""
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")
