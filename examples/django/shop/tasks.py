"""Tasks: the work that the worker runs."""

from collections.abc import Iterator

from celery import shared_task

from resultstore import Output


@shared_task
def report(year: int, rows: int) -> Output:
    """Return a table of a year's orders, which is generated while it is stored."""

    def lines() -> Iterator[bytes]:
        yield b"order,day,amount\n"
        for number in range(rows):
            yield b"%d,%d-%02d-%02d,%d\n" % (number, year, number % 12 + 1, number % 28 + 1, number * 37 % 500)

    return Output(data=lines(), name=f"orders-{year}.csv", media_type="text/csv", retention="7d")
