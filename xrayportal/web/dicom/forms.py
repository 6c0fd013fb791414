"""Forms of a clinic's DICOM settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from django import forms
from django.conf import settings
from django.utils.translation import gettext_lazy as _

from xrayportal.dicom.models import Caller, Destination, Listener, ReturnSettings
from xrayportal.dicom.networks import NotPermittedError, permitted_address

if TYPE_CHECKING:  # generic for the type checker only
    FormOfListener = forms.ModelForm[Listener]
    FormOfCaller = forms.ModelForm[Caller]
    FormOfDestination = forms.ModelForm[Destination]
    FormOfReturns = forms.ModelForm[ReturnSettings]
else:
    FormOfListener = FormOfCaller = FormOfDestination = FormOfReturns = forms.ModelForm

_PLAIN = {"autocomplete": "off", "spellcheck": "false"}
_LONGEST_KEPT = 365


class ListenerForm(FormOfListener):
    """An AE title of the clinic."""

    prefix = "listener"

    class Meta:
        model = Listener
        fields = ("ae_title", "requires_tls")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["ae_title"].widget.attrs |= _PLAIN
        self.fields["ae_title"].error_messages["unique"] = _("This AE title is taken. Choose another.")
        if not settings.DICOM_TLS_PORT:
            del self.fields["requires_tls"]


class CallerForm(FormOfCaller):
    """A system that may send."""

    prefix = "caller"

    class Meta:
        model = Caller
        fields = ("ae_title", "network", "queue")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("ae_title", "network"):
            self.fields[name].widget.attrs |= _PLAIN

    def clean(self) -> dict[str, Any]:
        """Refuse a second one of the same title and address."""
        cleaned = super().clean() or self.cleaned_data
        known = Caller.objects.filter(
            clinic=self.instance.clinic, ae_title=cleaned.get("ae_title"), network=cleaned.get("network")
        )
        if known.exists():
            self.add_error("ae_title", _("This caller is in the list already."))
        return cleaned


class DestinationForm(FormOfDestination):
    """An archive that gets results, by one of two protocols."""

    prefix = "destination"
    authorization = forms.CharField(
        label=_("Authorization header"),
        required=False,
        max_length=2000,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    class Meta:
        model = Destination
        fields = (*("name", "protocol", "ae_title", "calling_ae_title", "host", "port", "uses_tls", "url"),)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("name", "ae_title", "calling_ae_title", "host", "url"):
            self.fields[name].widget.attrs |= _PLAIN
        self.fields["port"].widget.attrs |= {"min": 1, "max": 65535}

    def clean_url(self) -> str:
        """An address that begins with http:// or https:// and names no user."""
        url: str = self.cleaned_data["url"].strip()
        if not url:
            return url
        try:
            parts = urlsplit(url)
            is_usable = parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc
            _port = parts.port
        except ValueError:
            is_usable = False
        if not is_usable:
            raise forms.ValidationError(
                _("Enter an address such as https://pacs.example/dicom-web/studies, without a user name.")
            )
        return url

    def clean_authorization(self) -> str:
        """One line of printable ASCII, as a header must be."""
        text: str = self.cleaned_data["authorization"].strip()
        if text and not (text.isascii() and text.isprintable()):
            raise forms.ValidationError(_("Enter one line, such as “Bearer …”, in plain letters and digits."))
        return text

    def clean(self) -> dict[str, Any]:
        """Ask for what the protocol needs, and for an address that the operator allows."""
        cleaned = super().clean() or self.cleaned_data
        by_stow = cleaned.get("protocol") == Destination.Protocol.STOW
        needed = ("url",) if by_stow else ("ae_title", "calling_ae_title", "host", "port")
        for name in needed:
            if not cleaned.get(name) and name not in self.errors:
                self.add_error(name, _("This is needed."))
        unused = (
            ("ae_title", "calling_ae_title", "host", "port", "uses_tls")
            if by_stow
            else ("url", "authorization")
        )
        for name in unused:
            self.errors.pop(name, None)
            cleaned[name] = {"port": None, "uses_tls": False}.get(name, "")
        clinic = self.instance.clinic
        if Destination.objects.filter(clinic=clinic, name=cleaned.get("name")).exists():
            self.add_error("name", _("A destination of this name is in the list already."))
        if not self.errors:
            self._check_address(cleaned, by_stow=by_stow)
        return cleaned

    def _check_address(self, cleaned: dict[str, Any], *, by_stow: bool) -> None:
        field = "url" if by_stow else "host"
        host = (urlsplit(cleaned["url"]).hostname or "") if by_stow else cleaned["host"]
        try:
            permitted_address(host, 0)
        except NotPermittedError as error:
            self.add_error(
                field,
                _("The portal's operator does not allow results to go to %(address)s.") % {"address": error},
            )
        except OSError:
            self.add_error(field, _("This host name is unknown."))


class ReturnsForm(FormOfReturns):
    """What is sent back, and when."""

    prefix = "returns"

    class Meta:
        model = ReturnSettings
        fields = ("when", "secondary_capture", "structured_report", "presentation_state", "keep_days")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["keep_days"].widget.attrs |= {"min": 1, "max": _LONGEST_KEPT}

    def clean_keep_days(self) -> int:
        """At least a day, at most a year."""
        days: int = self.cleaned_data["keep_days"]
        if not 1 <= days <= _LONGEST_KEPT:
            raise forms.ValidationError(_("Enter 1 to %(most)s days."), params={"most": _LONGEST_KEPT})
        return days

    def clean(self) -> dict[str, Any]:
        """Where something is sent, say what."""
        cleaned = super().clean() or self.cleaned_data
        chosen = [cleaned.get(name) for name in self.Meta.fields[1:4]]
        if cleaned.get("when") != ReturnSettings.When.NEVER and not any(chosen):
            self.add_error("secondary_capture", _("Choose at least one kind of object."))
        return cleaned
