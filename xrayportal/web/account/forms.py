"""Forms to sign in, to change the password, and to open a clinic's content. Guesses are counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm
from django.contrib.auth.signals import user_login_failed
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from xrayportal.clinics.models import Passkey, User
from xrayportal.clinics.passkeys import usable
from xrayportal.clinics.passkeys import use as use_passkey
from xrayportal.clinics.second_factor import app_since, use_code
from xrayportal.clinics.sign_in import is_code_throttled, is_throttled, record_wrong_code
from xrayportal.security import client_address


class SignInForm(AuthenticationForm):
    """E-mail address and password; the same sentence whether or not the account exists."""

    error_messages = {
        "invalid_login": _("Wrong e-mail address or password."),
        "inactive": _("Wrong e-mail address or password."),
        "throttled": _("Too many failed attempts. Wait 15 minutes, then try again."),
    }

    def clean_username(self) -> str:
        """The address in lower case, as accounts have it."""
        return str(self.cleaned_data["username"]).lower()

    def clean(self) -> dict[str, Any]:
        """Refuse a throttled attempt before the password is checked, so that it reveals nothing."""
        assert self.request is not None  # noqa: S101  # LoginView always gives it
        username = self.cleaned_data.get("username")
        if username and is_throttled(username, client_address(self.request)):
            raise ValidationError(self.error_messages["throttled"], code="throttled")
        cleaned: dict[str, Any] = super().clean()
        return cleaned


class PasswordForm(PasswordChangeForm):
    """The present and a new password; a wrong present password counts as a failed sign-in."""

    def __init__(self, *args: Any, request: HttpRequest, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.request = request
        self.fields["old_password"].label = _("Current password")

    def clean_old_password(self) -> str:
        """Refuse a throttled attempt before the password is checked, as the sign-in does."""
        refuse_throttled(self.user, self.request)
        try:
            return super().clean_old_password()
        except ValidationError:
            record_wrong_password(self.user, self.request)
            raise


def refuse_throttled(user: User, request: HttpRequest) -> None:
    """Raise ValidationError where no password is checked now."""
    if is_throttled(user.email, client_address(request)):
        raise ValidationError(SignInForm.error_messages["throttled"], code="throttled")


def record_wrong_password(user: User, request: HttpRequest) -> None:
    """Count a wrong password of a signed-in person as a failed sign-in."""
    user_login_failed.send(sender=__name__, credentials={"username": user.email}, request=request)


class PresentPasswordForm(forms.Form):
    """The person's own password once more; a wrong one counts as a failed sign-in."""

    password = forms.CharField(
        label=_("Current password"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )

    def __init__(self, *args: Any, user: User, request: HttpRequest, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user
        self.request = request

    def clean_password(self) -> str:
        """Refuse a wrong password, and any while the account is throttled."""
        refuse_throttled(self.user, self.request)
        password: str = self.cleaned_data["password"]
        if not self.user.check_password(password):
            record_wrong_password(self.user, self.request)
            raise ValidationError(_("Wrong password."))
        return password


class NewAppForm(forms.Form):
    """The first code of an app that is being set up."""

    code = forms.CharField(
        label=_("Code from the app"),
        max_length=20,
        widget=forms.TextInput(
            attrs={"autocomplete": "one-time-code", "inputmode": "numeric", "autofocus": True}
        ),
    )


class ProofForm(forms.Form):
    """The person's second factor: a passkey's answer, or a code. What is wrong counts as a failed sign-in."""

    code = forms.CharField(
        label=_("Code"),
        max_length=40,
        required=False,
        widget=forms.TextInput(
            attrs={"autocomplete": "one-time-code", "autocapitalize": "none", "spellcheck": "false"}
        ),
    )
    #: The browser's answer as JSON: ``static/account/passkeys.js`` fills it in.
    passkey = forms.CharField(max_length=10_000, required=False, widget=forms.HiddenInput())

    def __init__(self, *args: Any, user: User, request: HttpRequest, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user
        self.request = request
        self.takes_passkey = bool(usable(request, user))
        if app_since(user) is None:
            self.fields["code"].label = _("Recovery code")

    def clean(self) -> dict[str, Any]:
        """Use the proof up; refuse a wrong one, and any while the account is throttled."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if self.errors:
            return cleaned
        if not (cleaned["passkey"] or cleaned["code"]):
            raise ValidationError({"code": self.fields["code"].error_messages["required"]})
        if is_code_throttled(self.user, client_address(self.request)):
            raise ValidationError({"code": SignInForm.error_messages["throttled"]}, code="throttled")
        if answer := cleaned["passkey"]:
            is_right = use_passkey(self.request, self.user, answer)
            sentence = _("This passkey was not accepted. Try again, or give a code.")
        else:
            is_right = use_code(self.user, cleaned["code"])
            sentence = _("This code is wrong, used already or too old. Type the one that is shown now.")
        if not is_right:
            record_wrong_code(self.user, self.request)
            raise ValidationError({"code": sentence})
        return cleaned


class PasskeyForm(forms.Form):
    """A new passkey: what the person calls it, and the browser's answer."""

    name = forms.CharField(
        label=_("Name of the device"),
        max_length=Passkey.NAME_LENGTH,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    passkey = forms.CharField(max_length=10_000, required=False, widget=forms.HiddenInput())


if TYPE_CHECKING:  # generic for the type checker only
    ModelFormOfUser = forms.ModelForm[User]
else:
    ModelFormOfUser = forms.ModelForm


class NameForm(ModelFormOfUser):
    """A person's own first and last name."""

    class Meta:
        model = User
        fields = ("first_name", "last_name")
        labels = {"first_name": _("First name"), "last_name": _("Last name")}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["last_name"].required = True
        self.fields["first_name"].widget.attrs["autocomplete"] = "given-name"
        self.fields["last_name"].widget.attrs["autocomplete"] = "family-name"


class ReasonForm(forms.Form):
    """A superuser's reason to see a clinic's patient content."""

    reason = forms.CharField(
        label=_("Reason"),
        min_length=10,
        max_length=300,
        help_text=_("At least 10 characters. The clinic can read it, so do not name a patient."),
    )
