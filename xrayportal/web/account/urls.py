"""Addresses of home, sign-in and password, and of a superuser's access to a clinic's content."""

from django.urls import path

from xrayportal.web.account import views

urlpatterns = [
    path("", views.home, name="home"),
    path("sign-in/", views.SignInView.as_view(), name="sign-in"),
    path("sign-out/", views.SignOutView.as_view(), name="sign-out"),
    path("name/", views.own_name, name="own-name"),
    path("password/", views.PasswordView.as_view(), name="password"),
    path("c/<slug:clinic>/access/", views.content_access, name="content-access"),
    path("c/<slug:clinic>/access/end/", views.content_access_end, name="content-access-end"),
]
