"""Every address of the portal; docs/architecture.md has the table."""

from django.contrib import admin
from django.contrib.auth.decorators import login_not_required
from django.urls import include, path
from django.views.generic import RedirectView
from django.views.i18n import set_language

from xrayportal.clinics.views import admin_sign_in

handler400 = "xrayportal.security.bad_request"

urlpatterns = [
    path("", include("xrayportal.clinics.urls")),
    path("", include("xrayportal.worklist.urls")),
    path("", include("xrayportal.studies.urls")),
    path("", include("xrayportal.analyses.urls")),
    path("", include("xrayportal.reviews.urls")),
    path("", include("xrayportal.operations.urls")),
    path("language/", login_not_required(set_language), name="language"),
    path("admin/login/", admin_sign_in),
    path("admin/password_change/", RedirectView.as_view(pattern_name="password")),
    path("admin/", admin.site.urls),
]
