"""App configuration."""

from django.apps import AppConfig


class ReviewsConfig(AppConfig):
    name = "xrayportal.reviews"
