"""Addresses of a clinic's DICOM settings, and of the deliveries of a study."""

from django.urls import path

from xrayportal.web.dicom import stow, views

urlpatterns = [
    path("dicom-web/studies", stow.stow, name="stow"),
    path("dicom-web/studies/<str:study>", stow.stow, name="stow-study"),
    path("c/<slug:clinic>/dicom/", views.dicom_settings, name="dicom-settings"),
    path("c/<slug:clinic>/dicom/<slug:kind>/", views.dicom_add, name="dicom-add"),
    path("c/<slug:clinic>/dicom/<slug:kind>/<uuid:row>/remove/", views.dicom_remove, name="dicom-remove"),
    path(
        "c/<slug:clinic>/dicom/destinations/<uuid:destination>/connection/",
        views.dicom_connection,
        name="dicom-connection",
    ),
    path("c/<slug:clinic>/studies/<uuid:study>/deliveries/", views.study_deliveries, name="study-deliveries"),
    path("c/<slug:clinic>/deliveries/<uuid:delivery>/retry/", views.delivery_retry, name="delivery-retry"),
]
