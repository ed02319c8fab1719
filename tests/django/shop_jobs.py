"""The Celery app of the tests' Django project, with one task for each outcome."""

import os
import time

from celery import Celery

from resultstore import Output
from resultstore.backends.celery import setup

app = Celery("shop_jobs", broker=os.environ["SHOP_BROKER_URL"], backend=os.environ["SHOP_BACKEND"])
app.conf.update(
    result_extended=True,
    task_track_started=True,
    task_default_queue=os.environ["SHOP_QUEUE"],
    broker_connection_retry_on_startup=True,
    resultstore_blobs_url=os.environ["SHOP_BLOBS_URL"],
    resultstore_s3_endpoint=os.environ["SHOP_S3_ENDPOINT"],
    resultstore_secret_key="a secret of the tests, 32 bytes.",
    resultstore_accept_forgeable_store=True,
)
setup(app)


@app.task(name="shop.report")
def report(year: int) -> Output:
    return Output(data=b"year\n%d\n" % year, name="orders & more.csv", media_type="text/csv")


@app.task(name="shop.fail")
def fail() -> None:
    raise ValueError("<b>no orders</b>")


@app.task(name="shop.wait")
def wait() -> None:
    time.sleep(60)
