"""URLs: three views and the admin."""

from django.contrib import admin
from django.urls import path

from shop import views

urlpatterns = [
    path("reports/", views.start, name="start"),
    path("reports/<str:result_id>/", views.state, name="state"),
    path("reports/<str:result_id>/download/", views.download, name="download"),
    path("admin/", admin.site.urls),
]
