"""Addresses of a clinic's API tokens."""

from django.urls import path

from xrayportal.web.tokens import views

urlpatterns = [
    path("c/<slug:clinic>/tokens/", views.tokens, name="tokens"),
    path("c/<slug:clinic>/tokens/<uuid:token>/revoke/", views.token_revoke, name="token-revoke"),
]
