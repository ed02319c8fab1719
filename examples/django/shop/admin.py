"""Admin: a page of results, with buttons to send a task again or revoke it."""

from celery.result import AsyncResult
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse

from resultstore.backends.celery import store_of
from shop.celery import app
from shop.models import Report

SHOWN = 100
LOOKED_AT = 10_000  # small records, a thousand per round trip: Redis keeps no order of results without an owner


@admin.register(Report)
class ReportAdmin(admin.ModelAdmin):
    """Lists the results that the store knows; none is in the database."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return False: tasks make results."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Report | None = None) -> bool:
        """Return False: results expire by their retention."""
        return False

    def get_urls(self) -> list:
        """Return the URLs of the two buttons, and Django's own."""
        return [
            path("<str:result_id>/retry/", self.admin_site.admin_view(self.retry), name="shop_report_retry"),
            path("<str:result_id>/revoke/", self.admin_site.admin_view(self.revoke), name="shop_report_revoke"),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict | None = None) -> HttpResponse:
        """Show the newest results that Redis lists."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        store = store_of(app)
        known = [one for one in store.peek_many(list(store.ids(limit=LOOKED_AT))) if one is not None]
        known.sort(key=lambda one: one.created_at or one.changed_at or 0, reverse=True)
        found = [one for one in store.load_many([one.id for one in known[:SHOWN]]) if one is not None]
        context = {**self.admin_site.each_context(request), "title": "Results", "results": found}
        return TemplateResponse(request, "admin/shop/report/results.html", context | (extra_context or {}))

    def retry(self, request: HttpRequest, result_id: str) -> HttpResponse:
        """Send the same task with the same arguments, under a new id."""
        self._check(request)
        before = AsyncResult(result_id, app=app)
        sent = app.send_task(before.name, before.args, before.kwargs)
        messages.info(request, f"sent again as {sent.id}")
        return HttpResponseRedirect(reverse("admin:shop_report_changelist"))

    def revoke(self, request: HttpRequest, result_id: str) -> HttpResponse:
        """Ask the workers to skip the task, or to end it."""
        self._check(request)
        app.control.revoke(result_id, terminate=True)
        messages.info(request, f"{result_id} is revoked")
        return HttpResponseRedirect(reverse("admin:shop_report_changelist"))

    def _check(self, request: HttpRequest) -> None:
        if request.method != "POST" or not self.has_change_permission(request):
            raise PermissionDenied
