"""StoredResultAdmin: the admin's page of results, with their Artifacts, and buttons to send again and revoke."""

from datetime import UTC, datetime
from urllib.parse import urlencode

from celery.result import AsyncResult
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from resultstore.django.celery_app import celery_app, project_store
from resultstore.django.models import StoredResult
from resultstore.django.result_list import LIMIT, PAGE_SIZE, list_results
from resultstore.django.running import revoke_task, send_again
from resultstore.model.errors import ResultMissing, ResultStoreError
from resultstore.model.result import Result

_LIST = "admin:resultstore_storedresult_changelist"
_DIGITS = 10  # int() refuses thousands of them
_RESULT = "admin:resultstore_storedresult_change"


@admin.register(StoredResult)
class StoredResultAdmin(admin.ModelAdmin):
    """Lists the results of the project's Celery app. Nothing of it is in the database."""

    def has_add_permission(self, _request: HttpRequest) -> bool:
        """Return False: tasks make results."""
        return False

    def has_delete_permission(self, _request: HttpRequest, _obj: StoredResult | None = None) -> bool:
        """Return False: results expire by their retention class."""
        return False

    def get_urls(self) -> list[URLPattern]:
        """Return the URLs of the list, of one result, its Artifacts and its two buttons.

        A result id may hold any character: it is a field, never a part of a path, where `../` leads elsewhere.
        """
        views = {
            "": ("changelist", self.changelist_view),
            "artifact/": ("artifact", self.artifact_view),
            "retry/": ("retry", self.retry_view),
            "revoke/": ("revoke", self.revoke_view),
            "result/": ("change", self.result_view),
        }
        return [
            path(route, self.admin_site.admin_view(view), name=f"resultstore_storedresult_{name}")
            for route, (name, view) in views.items()
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, object] | None = None) -> HttpResponse:
        """Show a page of results: `?state=`, `?q=` (id, task or owner) and `?p=` choose which."""
        self._require_view(request)
        state, text, number = request.GET.get("state", ""), request.GET.get("q", ""), request.GET.get("p", "1")
        try:
            found = list_results(project_store(), state=state, text=text, number=_number(number))
        except ResultStoreError as error:
            messages.error(request, str(error))
            found = None
        context = {"title": "Results", "page": found, "state": state, "q": text, "limit": LIMIT, "size": PAGE_SIZE}
        return self._page(request, "change_list", context | (extra_context or {}))

    def result_view(self, request: HttpRequest) -> HttpResponse:
        """Show the result `?id=`: state, times, failure with its traceback, Artifacts."""
        self._require_view(request)
        found = self._found(request.GET.get("id", ""))
        times = {name: _time(getattr(found, name)) for name in ("created_at", "started_at", "ended_at", "expires_at")}
        return self._page(request, "change_form", {"title": f"Result {found.id}", "result": found, "times": times})

    def artifact_view(self, request: HttpRequest) -> HttpResponse:
        """Redirect to a presigned URL of the Artifact `?name=` of `?id=`: the object store serves the bytes."""
        self._require_view(request)
        store, result_id = project_store(), request.GET.get("id", "")
        try:
            return HttpResponseRedirect(store.url(store.artifact(result_id, request.GET.get("name", ""))))
        except ResultMissing as error:
            raise Http404(str(error)) from error
        except ResultStoreError as error:
            messages.error(request, str(error))
            return HttpResponseRedirect(f"{reverse(_RESULT)}?{urlencode({'id': result_id})}")

    def retry_view(self, request: HttpRequest) -> HttpResponse:
        """Send the task of the posted `id` again with the same arguments, under a new id."""
        self._require_change(request)
        result_id = request.POST.get("id", "")
        try:
            sent = send_again(AsyncResult(result_id, app=celery_app()), self._found(result_id))
        except ResultStoreError as error:
            messages.error(request, str(error))
        else:
            messages.success(request, f"sent again as {sent}")
        return HttpResponseRedirect(reverse(_LIST))

    def revoke_view(self, request: HttpRequest) -> HttpResponse:
        """Ask the workers to skip the task of the posted `id`, or to end it."""
        self._require_change(request)
        result_id = request.POST.get("id", "")
        try:
            revoke_task(celery_app(), self._found(result_id))
        except ResultStoreError as error:
            messages.error(request, str(error))
        else:
            messages.success(request, f"the workers were asked to revoke {result_id}")
        return HttpResponseRedirect(reverse(_LIST))

    def _page(self, request: HttpRequest, template: str, context: dict[str, object]) -> HttpResponse:
        shared = {
            **self.admin_site.each_context(request),
            "opts": self.model._meta,  # noqa: SLF001 - as Django's own admin
            "may_change": self.has_change_permission(request),
        }
        return TemplateResponse(request, f"admin/resultstore/storedresult/{template}.html", shared | context)

    def _found(self, result_id: str) -> Result:
        found = project_store().load(result_id) if result_id else None
        if found is None:
            raise Http404(f"there is no result {result_id}")
        return found

    def _require_view(self, request: HttpRequest) -> None:
        if not self.has_view_permission(request):
            raise PermissionDenied

    def _require_change(self, request: HttpRequest) -> None:
        if request.method != "POST" or not self.has_change_permission(request):
            raise PermissionDenied


def _number(text: str) -> int:
    """Return the page that a query names, or 1."""
    return int(text) if text.isdecimal() and len(text) < _DIGITS else 1


def _time(epoch_s: float | None) -> datetime | None:
    return None if epoch_s is None else datetime.fromtimestamp(epoch_s, UTC)
