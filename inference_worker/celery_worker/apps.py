"""App configuration: ``manage.py bundle`` is found through it."""

from django.apps import AppConfig


class CeleryWorkerConfig(AppConfig):
    name = "inference_worker.celery_worker"
