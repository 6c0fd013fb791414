"""Addresses of the way in."""

from django.urls import path

from xrayportal.clinics import pages, views
from xrayportal.clinics.sign_in import PasswordView, SignInView, SignOutView

urlpatterns = [
    path("", views.home, name="home"),
    path("sign-in/", SignInView.as_view(), name="sign-in"),
    path("sign-out/", SignOutView.as_view(), name="sign-out"),
    path("c/<slug:clinic>/access/", views.content_access, name="content-access"),
    path("c/<slug:clinic>/access/end/", views.content_access_end, name="content-access-end"),
    path("password/", PasswordView.as_view(), name="password"),
    path("c/<slug:clinic>/people/", pages.people, name="people"),
    path("c/<slug:clinic>/people/invite/", pages.invite, name="people-invite"),
    path("c/<slug:clinic>/people/<int:user>/roles/", pages.member_roles, name="people-roles"),
    path("c/<slug:clinic>/people/<int:user>/link/", pages.invite_again, name="people-link"),
    path("c/<slug:clinic>/people/<int:user>/reactivate/", pages.reactivate, name="people-reactivate"),
    path("c/<slug:clinic>/settings/", pages.clinic_settings, name="clinic-settings"),
    path("invitations/<str:uid>/<str:token>/", pages.invitation, name="invitation"),
]
