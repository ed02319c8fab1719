"""Tests of what Celery itself has only since some version."""

import re

import celery
import pytest


def since(version: str, feature: str) -> pytest.MarkDecorator:
    """Skip a test where the installed Celery lacks `feature`, which came with `version`."""
    return pytest.mark.skipif(
        numbers(celery.__version__) < numbers(version),
        reason=f"Celery {celery.__version__} is installed; {feature} came with {version}",
    )


def numbers(version: str) -> tuple[int, ...]:
    """The numbers of a version, to compare it."""
    return tuple(map(int, re.findall(r"\d+", version)))[:3]
