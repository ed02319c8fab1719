"""A Django project with the app installed, a Celery worker, and a logged-in test client."""

import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import django
import pytest
from celery import Celery
from django.conf import settings
from django.core.management import call_command
from django.test import Client
from django.test.utils import setup_test_environment

HERE = Path(__file__).parent
TEMPLATES = {
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


@pytest.fixture(scope="package")
def environment(redis_url, amqp_url, s3_server) -> dict[str, str]:
    """The variables of web process and worker: a bucket, a database of Redis and a queue of their own."""
    return {
        "SHOP_BACKEND": f"resultstore+{redis_url.rpartition('/')[0]}/9",
        "SHOP_BROKER_URL": amqp_url,
        "SHOP_BLOBS_URL": f"s3://django-{uuid.uuid4().hex}",
        "SHOP_S3_ENDPOINT": s3_server.endpoint,
        "SHOP_QUEUE": f"django-{uuid.uuid4().hex}",
        "AWS_ACCESS_KEY_ID": s3_server.access_key,
        "AWS_SECRET_ACCESS_KEY": s3_server.secret_key,
        "PYTHONPATH": str(HERE),
    }


@pytest.fixture(scope="package")
def app(environment) -> Iterator[Celery]:
    """The project's Celery app, after setup of the store."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.syspath_prepend(HERE)
        import shop_jobs  # noqa: PLC0415 - it reads the environment

        from resultstore.backends.celery import store_of  # noqa: PLC0415
        from resultstore.ops.provision import provision  # noqa: PLC0415

        provision(store_of(shop_jobs.app).settings)
        yield shop_jobs.app


@pytest.fixture(scope="package")
def worker(app, environment) -> Iterator[None]:
    """A worker of the app."""
    command = [sys.executable, "-m", "celery", "-A", "shop_jobs", "worker", "--concurrency", "2", "--without-mingle"]
    command += ["--without-gossip", "--hostname", f"{uuid.uuid4().hex}@%h", "--loglevel", "INFO"]
    variables = os.environ | environment
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command,
            cwd=HERE,
            env=variables,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            app.send_task("shop.report", (2000,)).get(timeout=60)
            yield
        finally:
            process.terminate()
            process.wait(30)
            with app.connection_for_write() as connection:
                connection.default_channel.queue_delete(app.conf.task_default_queue)
            log.seek(0)
            sys.stdout.write(log.read().decode(errors="replace")[-8_000:])


@pytest.fixture(scope="package")
def project(app) -> None:
    """Django, set up once in this process, with its tables in memory."""
    if not settings.configured:
        settings.configure(
            SECRET_KEY="k" * 50,
            ALLOWED_HOSTS=["testserver"],
            ROOT_URLCONF="tests.django.urls",
            INSTALLED_APPS=[
                *(f"django.contrib.{name}" for name in ("admin", "auth", "contenttypes", "messages", "sessions")),
                "resultstore.django",
            ],
            MIDDLEWARE=[
                "django.contrib.sessions.middleware.SessionMiddleware",
                "django.middleware.csrf.CsrfViewMiddleware",
                "django.contrib.auth.middleware.AuthenticationMiddleware",
                "django.contrib.messages.middleware.MessageMiddleware",
            ],
            TEMPLATES=[TEMPLATES],
            DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
            DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
            STATIC_URL="static/",
            USE_TZ=True,
            RESULTSTORE_CELERY_APP="shop_jobs:app",
        )
        django.setup()
        setup_test_environment()
        call_command("migrate", verbosity=0)


@pytest.fixture
def browser(project) -> Client:
    """The browser of an administrator, which sends no CSRF token."""
    return logged_in("admin", superuser=True)


def logged_in(name: str, *permissions: str, superuser: bool = False) -> Client:
    from django.contrib.auth.models import Permission, User  # noqa: PLC0415 - only after Django's setup

    user, _ = User.objects.get_or_create(username=name, defaults={"is_staff": True, "is_superuser": superuser})
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client
