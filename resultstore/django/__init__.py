"""Django app: an admin page of results, template tags that link to Artifacts, and system checks."""
