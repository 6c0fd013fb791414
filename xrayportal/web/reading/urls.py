"""Addresses of reading sessions."""

from django.urls import path

from xrayportal.web.reading import views

urlpatterns = [
    path("c/<slug:clinic>/reading/", views.start, name="reading-start"),
    path("c/<slug:clinic>/reading/<uuid:session>/", views.summary, name="reading"),
]
