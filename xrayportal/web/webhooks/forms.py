"""The form of a new webhook."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _

from xrayportal.webhooks.addresses import NotPermittedError, check_url
from xrayportal.webhooks.models import EventType

#: What is wrong with an address, or came of a delivery, by its code.
PROBLEMS = {
    "malformed": _("Enter a whole address, such as https://receiver.example/hook, without a password in it."),
    "scheme": _("Enter an address that begins with https://."),
    "private-address": _("The address leads to a private network, where webhooks do not go."),
    "unknown-host": _("The name is not known."),
    "secret-lost": _("The secret cannot be decrypted any more. Add the webhook again."),
    "time-out": _("The receiver did not answer in time."),
    "tls": _("The receiver's certificate is not valid."),
    "connection": _("The connection failed."),
    "not-sent": _("The message could not be sent. The portal's log tells why."),
}


class WebhookForm(forms.Form):
    """Where to, and what about."""

    url = forms.CharField(label=_("Address"), max_length=500)
    events = forms.MultipleChoiceField(
        label=_("Events"),
        choices=EventType.choices,
        error_messages={"required": _("Choose at least one event.")},
    )

    def clean_url(self) -> str:
        """An address of the right form."""
        url: str = self.cleaned_data["url"]
        try:
            check_url(url)
        except NotPermittedError as error:
            raise forms.ValidationError(PROBLEMS[error.code]) from None
        return url
