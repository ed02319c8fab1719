"""ResultStoreConfig: what `INSTALLED_APPS = ["resultstore.django"]` installs."""

from importlib import import_module

from django.apps import AppConfig


class ResultStoreConfig(AppConfig):
    """The Django app. It has no table: results are in the store."""

    name = "resultstore.django"
    label = "resultstore"
    verbose_name = "Results"

    def ready(self) -> None:
        """Register the system checks."""
        import_module("resultstore.django.checks")
