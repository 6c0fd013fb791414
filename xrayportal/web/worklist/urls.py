"""Addresses of the worklist and of saved views."""

from django.urls import path

from xrayportal.web.worklist import views

urlpatterns = [
    path("c/<slug:clinic>/", views.worklist, name="worklist"),
    path("c/<slug:clinic>/worklist/bulk-action/", views.bulk_action, name="worklist-bulk-action"),
    path("c/<slug:clinic>/worklist/views/", views.save_view, name="saved-views"),
    path("c/<slug:clinic>/worklist/views/<int:view>/remove/", views.remove_view, name="saved-view-remove"),
]
