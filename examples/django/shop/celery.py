"""Celery: the app, configured by the `CELERY_...` settings of Django."""

import os

from celery import Celery

from resultstore.backends.celery import setup

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")

app = Celery("shop")
app.config_from_object("django.conf:settings", namespace="CELERY")
setup(app)
app.autodiscover_tasks()
