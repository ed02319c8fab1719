"""A Django project whose periodic task is in its database: prints how one run ended."""

import sys

import django
from celery import Celery
from celery.contrib.testing.worker import start_worker
from django.conf import settings
from django.core.management import call_command

WAIT_S = 30
settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": f"{sys.argv[2]}/db.sqlite3"}},
    INSTALLED_APPS=["django_celery_beat"],
    USE_TZ=True,
    CELERY_BROKER_URL="memory://",
    CELERY_BROKER_TRANSPORT_OPTIONS={"polling_interval": 0.01},
    CELERY_RESULT_BACKEND=f"resultstore+{sys.argv[1]}",
    CELERY_RESULTSTORE_BLOBS_URL=f"file://{sys.argv[2]}/blobs",
)
django.setup()
call_command("migrate", verbosity=0)

from django_celery_beat.models import IntervalSchedule, PeriodicTask  # noqa: E402 - after `django.setup`
from django_celery_beat.schedulers import DatabaseScheduler  # noqa: E402 - the same

from resultstore.backends.celery import setup  # noqa: E402 - the same

app = Celery("project")
app.config_from_object("django.conf:settings", namespace="CELERY")
setup(app)


@app.task(name="nightly")
def nightly(text: str) -> int:
    return len(text)


every_day = IntervalSchedule.objects.create(every=1, period=IntervalSchedule.DAYS)
args = '["' + "n" * 30_000 + '"]'
PeriodicTask.objects.create(interval=every_day, name="night", task="nightly", args=args)
scheduler = DatabaseScheduler(app=app)
with start_worker(app, pool="solo", perform_ping_check=False, shutdown_timeout=WAIT_S):
    sent = scheduler.apply_async(scheduler.schedule["night"])
    value = sent.get(timeout=WAIT_S)
    scheduler.sync()
print(sent.name, sent.state, value, f"runs:{PeriodicTask.objects.get(name='night').total_run_count}")
