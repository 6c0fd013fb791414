"""Every address of the portal; docs/architecture.md has the table."""

from django.contrib import admin
from django.urls import include, path

from xrayportal.clinics.views import admin_sign_in

urlpatterns = [
    path("", include("xrayportal.clinics.urls")),
    path("", include("xrayportal.studies.urls")),
    path("", include("xrayportal.analyses.urls")),
    path("", include("xrayportal.reviews.urls")),
    path("", include("xrayportal.operations.urls")),
    path("admin/login/", admin_sign_in),
    path("admin/", admin.site.urls),
]
