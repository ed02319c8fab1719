"""Layout: which retention class keeps something for long enough."""

import pytest

from resultstore.model.layout import DAY_S, shortest_class


@pytest.mark.parametrize(
    ("days", "least", "chosen"),
    [(1, "30d", "30d"), (30, "30d", "30d"), (31, "30d", "365d"), (366, "30d", "keep"), (1, "365d", "365d")],
)
def test_shortest_class_is_at_least_that_long(days: int, least: str, chosen: str):
    assert shortest_class(days * DAY_S, least=least) == chosen


def test_shortest_class_counts_milliseconds():
    assert [shortest_class(one) for one in (0.001, 86_400, 86_400.001)] == ["1d", "1d", "7d"]
