"""Addresses of a clinic's people and settings, and of invitations."""

from django.urls import path

from xrayportal.web.people import invitation, settings, views

urlpatterns = [
    path("c/<slug:clinic>/people/", views.people, name="people"),
    path("c/<slug:clinic>/people/invite/", views.invite, name="people-invite"),
    path("c/<slug:clinic>/people/<int:user>/roles/", views.member_roles, name="people-roles"),
    path("c/<slug:clinic>/people/<int:user>/link/", views.invite_again, name="people-link"),
    path("c/<slug:clinic>/people/<int:user>/reactivate/", views.reactivate, name="people-reactivate"),
    path("c/<slug:clinic>/setup/", settings.clinic_setup, name="clinic-setup"),
    path("c/<slug:clinic>/setup/sample/", settings.clinic_sample, name="clinic-sample"),
    path("c/<slug:clinic>/settings/", settings.clinic_settings, name="clinic-settings"),
    path("invitations/<str:uid>/<str:token>/", invitation.invitation, name="invitation"),
]
