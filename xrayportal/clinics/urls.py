"""Addresses of the way in."""

from django.contrib.auth.views import LogoutView
from django.urls import path

from xrayportal.clinics import views
from xrayportal.clinics.sign_in import SignInView

urlpatterns = [
    path("", views.home, name="home"),
    path("sign-in/", SignInView.as_view(), name="sign-in"),
    path("sign-out/", LogoutView.as_view(), name="sign-out"),
    path("c/<slug:clinic>/access/", views.content_access, name="content-access"),
]
