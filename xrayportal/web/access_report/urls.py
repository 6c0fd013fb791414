"""Addresses of the report who saw a study or a patient's studies."""

from django.urls import path

from xrayportal.web.access_report import views

_REPORT = "c/<slug:clinic>/access-report/"

urlpatterns = [
    path(_REPORT, views.access_report, name="access-report"),
    path(f"{_REPORT}export.csv", views.access_report_csv, name="access-report-csv"),
    path(f"{_REPORT}export.json", views.access_report_fhir, name="access-report-fhir"),
]
