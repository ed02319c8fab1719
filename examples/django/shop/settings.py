"""Settings: Django's, and Celery's and resultstore's as `CELERY_...`."""

import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY", "for-this-example-alone-" + "x" * 32)
DEBUG = True
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
ROOT_URLCONF = "shop.urls"

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "shop",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db.sqlite3"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STATIC_URL = "static/"
USE_TZ = True

CELERY_BROKER_URL = os.environ.get("RESULTSTORE_BROKER_URL", "amqp://guest:guest@127.0.0.1:5672//")
# Selects resultstore. RESULTSTORE_BLOBS_URL, or CELERY_RESULTSTORE_BLOBS_URL here, says where large results are stored.
CELERY_RESULT_BACKEND = "resultstore+" + os.environ.get("RESULTSTORE_INDEX_URL", "redis://127.0.0.1:6379/0")
CELERY_RESULT_EXTENDED = True  # keeps arguments, so that the admin page can send a task again
CELERY_TASK_TRACK_STARTED = True
