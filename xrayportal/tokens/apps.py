"""App configuration."""

from django.apps import AppConfig


class TokensConfig(AppConfig):
    name = "xrayportal.tokens"
