"""Models: a Report is an entry of the admin's menu; its Result is in the store, not in the database."""

from django.db import models


class Report(models.Model):
    """Adds results and a permission for them (`shop.view_report`) to the admin."""

    class Meta:
        """No table: the results are in the store."""

        managed = False
        default_permissions = ("view", "change")

    def __str__(self) -> str:
        """Return the name that the admin shows."""
        return f"report {self.pk}"
