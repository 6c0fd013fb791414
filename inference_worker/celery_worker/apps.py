"""App configuration: Django finds ``manage.py bundle`` through it."""

from django.apps import AppConfig


class CeleryWorkerConfig(AppConfig):
    name = "inference_worker.celery_worker"
