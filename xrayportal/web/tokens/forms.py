"""The form of a new API token."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from xrayportal.clinics.models import Role
from xrayportal.tokens.models import Scope

#: The lives to choose from, in days, as far as ``API_TOKEN_MAX_DAYS`` allows.
_DAYS = (7, 30, 90, 180, 365)
YOURSELF = "self"


class TokenForm(forms.Form):
    """A name, whom the token acts as, what it is for, and how long it lives."""

    name = forms.CharField(label=_("Name"), max_length=80)
    acts_as = forms.ChoiceField(
        label=_("Acts as"),
        choices=[
            (Role.UPLOADER, _("Service that sends studies and sees its own")),
            (Role.READER, _("Service that sends studies and sees all")),
            (Role.ADMIN, _("Service that sends studies, sees all, and reads the audit log")),
            (YOURSELF, _("You, with your roles")),
        ],
    )
    scopes = forms.MultipleChoiceField(
        label=_("Scopes"), choices=Scope.choices, error_messages={"required": _("Choose at least one scope.")}
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        most = settings.API_TOKEN_MAX_DAYS
        days = [days for days in _DAYS if days <= most] or [most]
        choices = [(number, ngettext("%d day", "%d days", number) % number) for number in days]
        self.fields["days"] = forms.TypedChoiceField(
            label=_("Expires after"), coerce=int, choices=choices, initial=min(90, most)
        )
        self.fields["name"].widget.attrs |= {"autocomplete": "off", "spellcheck": "false"}

    def clean(self) -> dict[str, Any]:
        """Refuse services that would write reviews."""
        cleaned = super().clean() or self.cleaned_data
        if cleaned.get("acts_as", YOURSELF) != YOURSELF and Scope.REVIEWS_WRITE in cleaned.get("scopes", []):
            self.add_error("scopes", _("A service cannot write reviews: a verdict is a person's."))
        return cleaned

    @property
    def options(self) -> dict[str, Any]:
        """The arguments of ``create_token`` that the form decides."""
        values = self.cleaned_data
        role = "" if values["acts_as"] == YOURSELF else values["acts_as"]
        return {"name": values["name"], "role": role, "scopes": values["scopes"], "days": values["days"]}
