"""Arguments: what is found in a message's body, and what Celery has to read for itself."""

import json

import pytest
from celery import Celery, chain, chord, group
from celery.canvas import Signature

from resultstore.backends.celery.capture.message_body import swap_arguments

app = Celery("arguments", set_as_current=False)
one = app.signature("one", args=("large",))


def following(signature: Signature) -> dict[str, object]:
    """`signature` as it travels at the end of a message, with "swap_arguments" in place of each argument."""
    body = swap_arguments(((), {}, {"chain": [json.loads(json.dumps(signature))]}), lambda _: "swap_arguments")
    return body[2]["chain"][0]


@pytest.mark.parametrize("composed", [group(one, one, app=app), chain(one, one, app=app), chord([one], one, app=app)])
def test_arguments_in_every_kind_of_signature_are_found(composed: Signature):
    said = json.dumps(following(composed))
    assert ("large" in said, said.count("swap_arguments")) == (False, 2)


def test_values_that_celery_reads_are_not_arguments():
    assert following(group(app=app))["kwargs"] == {"tasks": []}
