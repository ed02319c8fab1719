"""Finding: one sentence on what is most notable in a table."""

import numpy as np

from resultstore_tasks.report import facts as table_facts
from resultstore_tasks.report.charts import spoken
from resultstore_tasks.report.facts import Column, Facts

STRONG_R = 0.5  # J. Cohen, "A Power Primer" (1992): a large effect; words: KEPT a title
_SHOWN_CHARS = 40


def finding(facts: Facts) -> str:
    """Return one sentence: the strongest correlation, else the most frequent value, else the range of a column.

    It begins with an English word, which sets its base direction: names may be written from right to left.
    """
    if facts.strongest is not None:
        i, j = facts.strongest
        r = float(facts.correlations[i, j])
        if abs(r) >= STRONG_R:
            how = "rise together" if r > 0 else "move in opposite directions"
            pair = f"{_name(facts.numeric[i])} and {_name(facts.numeric[j])}"
            return f"The columns {pair} {how} (correlation {table_facts.printed(r, decimals=2)})."
    if facts.category is not None and table_facts.shares(facts.category)[0][1] > 1:
        return _most_frequent(facts.category, facts.rows)
    if facts.numeric:
        return _range(facts.numeric[0])
    return f"{facts.rows:,} rows of text in {len(facts.columns):,} columns; no column holds different numbers."


def _most_frequent(category: Column, rows: int) -> str:
    value, count = table_facts.shares(category)[0]
    share = table_facts.percent(count, rows)
    if value == table_facts.EMPTY:
        return f"The column {_name(category)} is empty in {count:,} of {rows:,} rows ({share})."
    return f"The most frequent {_name(category)} is {value[:_SHOWN_CHARS]}, in {count:,} of {rows:,} rows ({share})."


def _range(column: Column) -> str:
    median = float(np.median(column.present))  # of integers, it may lie half-way between two
    middle = column.printed(median, more=0 if column.printed(median) == f"{median:g}" else 1)
    return f"The column {_name(column)} ranges from {column.least} to {column.largest}, with a median of {middle}."


def _name(column: Column) -> str:
    return spoken(column.name)[:_SHOWN_CHARS]
