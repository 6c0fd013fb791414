from django.apps import AppConfig


class WorklistConfig(AppConfig):
    """The people's side of the lists."""

    name = "xrayportal.worklist"
