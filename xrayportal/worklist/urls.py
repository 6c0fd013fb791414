"""Addresses of the worklist: the page that polls, what is done to several studies, saved views."""

from django.urls import path

from xrayportal.worklist import pages, views

urlpatterns = [
    path("c/<slug:clinic>/", pages.worklist, name="worklist"),
    path("c/<slug:clinic>/worklist/several/", views.several, name="worklist-several"),
    path("c/<slug:clinic>/worklist/views/", views.save_view, name="saved-views"),
    path("c/<slug:clinic>/worklist/views/<int:view>/remove/", views.remove_view, name="saved-view-remove"),
]
