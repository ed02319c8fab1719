"""Views: start a report, return its state, and redirect to its bytes."""

from celery.result import AsyncResult
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from resultstore import Artifact
from resultstore.backends.celery import store_of
from shop.celery import app
from shop.tasks import report


@csrf_exempt  # this example has no form; a real project keeps the protection
@require_POST
def start(request: HttpRequest) -> HttpResponse:
    """Send the task, and return its id."""
    sent = report.delay(int(request.POST["year"]), int(request.POST.get("rows", "1000")))
    return JsonResponse({"id": sent.id}, status=202)


@require_GET
def state(_: HttpRequest, result_id: str) -> HttpResponse:
    """Return the state, by one small read of Redis, whatever the size of the report."""
    return JsonResponse({"id": result_id, "state": AsyncResult(result_id, app=app).state})


@require_GET
def download(_: HttpRequest, result_id: str) -> HttpResponse:
    """Redirect to the bytes: the object store serves them, not Django."""
    found = AsyncResult(result_id, app=app)
    if not found.successful() or not isinstance(found.result, Artifact):
        return JsonResponse({"id": result_id, "state": found.state}, status=404)
    return HttpResponseRedirect(store_of(app).url(found.result))
