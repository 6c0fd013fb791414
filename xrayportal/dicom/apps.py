"""App configuration."""

from django.apps import AppConfig


class DicomConfig(AppConfig):
    name = "xrayportal.dicom"
    verbose_name = "DICOM"
