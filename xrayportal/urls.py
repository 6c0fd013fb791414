"""Every address of the portal; those of a screen are in ``web/<screen>/urls.py``."""

from django.contrib import admin
from django.contrib.auth.decorators import login_not_required
from django.urls import include, path
from django.views.generic import RedirectView
from django.views.i18n import set_language

from xrayportal.api.routes import addresses
from xrayportal.web.account.views import admin_sign_in

handler400 = "xrayportal.security.bad_request"
handler500 = "xrayportal.web.shared.unavailable.server_error"

SCREENS = (
    *("account", "people", "tokens", "webhooks", "worklist", "submissions", "study", "dicom"),
    *("reviews", "reading", "history", "scorecard", "model_card", "operations", "access_report", "health"),
)

urlpatterns = [
    *(path("", include(f"xrayportal.web.{screen}.urls")) for screen in SCREENS),
    path("api/v1/", include(addresses[:2], namespace=addresses[2])),
    path("language/", login_not_required(set_language), name="language"),
    path("admin/login/", admin_sign_in),
    path("admin/password_change/", RedirectView.as_view(pattern_name="password")),
    path("admin/", admin.site.urls),
]
