"""Addresses of home, sign-in and password, and of a superuser's access to a clinic's content."""

from django.urls import path

from xrayportal.web.account import confirm, second_factor, sessions, sign_in_code, views

urlpatterns = [
    path("", views.home, name="home"),
    path("sign-in/", views.SignInView.as_view(), name="sign-in"),
    path("sign-in/code/", sign_in_code.CodeView.as_view(), name="sign-in-code"),
    path("sign-in/passkey/", sign_in_code.passkey_challenge, name="passkey-challenge"),
    path("second-factor/", second_factor.second_factor, name="second-factor"),
    path("second-factor/open/", second_factor.open_changes, name="second-factor-open"),
    path("second-factor/begin/", second_factor.begin, name="second-factor-begin"),
    path("second-factor/confirm/", second_factor.confirm, name="second-factor-confirm"),
    path("second-factor/codes/", second_factor.renew_codes, name="second-factor-codes"),
    path("second-factor/remove/", second_factor.remove, name="second-factor-remove"),
    path("second-factor/app/remove/", second_factor.app_remove, name="second-factor-app-remove"),
    path("second-factor/passkeys/", second_factor.passkey_add, name="passkey-add"),
    path("second-factor/passkeys/options/", second_factor.passkey_options, name="passkey-options"),
    path("second-factor/passkeys/<int:passkey>/remove/", second_factor.passkey_remove, name="passkey-remove"),
    path("sign-out/", views.SignOutView.as_view(), name="sign-out"),
    path("confirm/", confirm.ConfirmView.as_view(), name="confirm"),
    path("sessions/", sessions.sessions, name="sessions"),
    path("sessions/end/", sessions.end, name="sessions-end"),
    path("name/", views.own_name, name="own-name"),
    path("password/", views.PasswordView.as_view(), name="password"),
    path("c/<slug:clinic>/access/", views.content_access, name="content-access"),
    path("c/<slug:clinic>/access/end/", views.content_access_end, name="content-access-end"),
]
