"""App configuration: the template tags are found through it."""

from django.apps import AppConfig


class WebConfig(AppConfig):
    name = "xrayportal.web"
