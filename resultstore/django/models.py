"""StoredResult: an entry of the admin's menu, and the permissions for it."""

from typing import ClassVar

from django.db import models


class StoredResult(models.Model):
    """Represents a Result in the admin. No row is ever written: the Result is in the store.

    Its permissions are `resultstore.view_storedresult` (see results, download) and `resultstore.change_storedresult`
    (send a task again, revoke it).
    """

    id = models.CharField(max_length=255, primary_key=True)

    class Meta:
        """No table, and no permissions to add or delete."""

        managed = False
        default_permissions: ClassVar[tuple[str, ...]] = ("view", "change")
        verbose_name = "result"

    def __str__(self) -> str:
        """Return the id."""
        return str(self.pk)
