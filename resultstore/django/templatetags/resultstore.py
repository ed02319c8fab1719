"""Tags for templates: `{% load resultstore %}`, then links to the Artifacts of a Result."""

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from resultstore.django.celery_app import project_store
from resultstore.model.artifact import Artifact
from resultstore.model.errors import ResultStoreError

register = template.Library()


@register.simple_tag
def artifacts_of(result_id: str) -> tuple[Artifact, ...]:
    """Return the Artifacts of a Result: `{% artifacts_of order.task_id as files %}`. None if it has not ended."""
    found = project_store().load(str(result_id)) if result_id else None
    return () if found is None else tuple(found.artifacts)


@register.simple_tag
def artifact_url(artifact: Artifact) -> str:
    """Return a presigned URL of an Artifact: `{% artifact_url file as url %}`. "" if it has expired."""
    try:
        return str(project_store().url(artifact))
    except ResultStoreError:
        return ""


@register.simple_tag
def artifact_link(artifact: Artifact, text: str = "") -> SafeString:
    """Return a link to an Artifact, with its file name or `text`; only the text if it has expired.

    The browser gets the bytes from the object store: `{% artifact_link file "Download" %}`.
    """
    url, shown = artifact_url(artifact), text or artifact.file_name
    return format_html('<a href="{}">{}</a>', url, shown) if url else format_html("{}", shown)
