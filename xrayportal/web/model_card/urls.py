"""The address of a model card."""

from django.urls import path

from xrayportal.web.model_card import views

urlpatterns = [path("c/<slug:clinic>/models/<int:bundle>/", views.model_card, name="model-card")]
