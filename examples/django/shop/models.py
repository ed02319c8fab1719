"""Models: a Report is a row of the admin's menu; its Result stands in the store, not in the database."""

from django.db import models


class Report(models.Model):
    """Gives results a place and a permission (`shop.view_report`) in the admin."""

    class Meta:
        """No table: what there is to read stands in the store."""

        managed = False
        default_permissions = ("view", "change")

    def __str__(self) -> str:
        """As the admin calls one."""
        return f"report {self.pk}"
