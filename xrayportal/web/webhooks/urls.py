"""Addresses of a clinic's webhooks."""

from django.urls import path

from xrayportal.web.webhooks import views

_WEBHOOK = "c/<slug:clinic>/webhooks/<uuid:webhook>/"

urlpatterns = [
    path("c/<slug:clinic>/webhooks/", views.webhooks, name="webhooks"),
    path(_WEBHOOK, views.webhook, name="webhook"),
    path(f"{_WEBHOOK}act/", views.webhook_act, name="webhook-act"),
    path(f"{_WEBHOOK}deliveries/<uuid:message>/again/", views.delivery_again, name="delivery-again"),
]
