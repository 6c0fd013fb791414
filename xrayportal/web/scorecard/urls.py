"""The address of the scorecard."""

from django.urls import path

from xrayportal.web.scorecard import views

urlpatterns = [path("c/<slug:clinic>/scorecard/", views.scorecard, name="scorecard")]
