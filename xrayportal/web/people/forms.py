"""Forms of people and clinic settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib.auth.forms import SetPasswordForm
from django.utils.formats import number_format
from django.utils.translation import gettext_lazy as _

from xrayportal.analyses.models import Bundle
from xrayportal.clinics.models import Clinic, Role, User, time_zones

#: Zones are named by a place; their old and technical other names begin otherwise.
_PLACES = (
    *("Africa/", "America/", "Antarctica/", "Arctic/", "Asia/", "Atlantic/", "Australia/"),
    *("Europe/", "Indian/", "Pacific/"),
)

_ZONE_ATTRIBUTES = {"list": "zones", "autocomplete": "off", "spellcheck": "false"}

if TYPE_CHECKING:  # generic for the type checker only
    PasswordFormOfUser = SetPasswordForm[User]
    ModelFormOfClinic = forms.ModelForm[Clinic]
else:
    PasswordFormOfUser = SetPasswordForm
    ModelFormOfClinic = forms.ModelForm


class InviteForm(forms.Form):
    """The e-mail address of a person and their roles."""

    email = forms.EmailField(label=_("E-mail address"), max_length=254)
    roles = forms.MultipleChoiceField(label=_("Roles"), choices=Role.choices)


class RolesForm(forms.Form):
    """A person's roles; none deactivates them."""

    roles = forms.MultipleChoiceField(choices=Role.choices, required=False)


class WelcomeForm(PasswordFormOfUser):
    """An invited person's name and password."""

    first_name = forms.CharField(label=_("First name"), max_length=150, required=False)
    last_name = forms.CharField(label=_("Last name"), max_length=150)
    field_order = ("first_name", "last_name", "new_password1", "new_password2")

    def save(self, commit: bool = True) -> User:
        """Keep the name and the password."""
        self.user.first_name = self.cleaned_data["first_name"]
        self.user.last_name = self.cleaned_data["last_name"]
        return super().save(commit)


def zone_named(text: str) -> str:
    """The zone of this name in any capitals, or of this city if only one zone has it; else the text."""
    name = "_".join(text.split()).casefold()
    by_name = [zone for zone in time_zones() if zone.casefold() == name]
    by_city = [zone for zone in offered_zones() if zone.rpartition("/")[2].casefold() == name]
    matches = by_name or by_city
    return matches[0] if len(matches) == 1 else text


def offered_zones() -> list[str]:
    """The time zones to choose from: UTC, and those named by a place."""
    return ["UTC", *sorted(name for name in time_zones() if name.startswith(_PLACES))]


class SetupForm(ModelFormOfClinic):
    """What a new clinic decides before its first study: its time zone, and whether readers read blind."""

    blind_first = forms.TypedChoiceField(
        label=_("Blind reading"),
        choices=[
            ("yes", _("Yes: readers give their verdict before they see the prediction")),
            ("no", _("No: readers see the prediction at once")),
        ],
        coerce=lambda value: value == "yes",
        widget=forms.RadioSelect,
    )

    class Meta:
        model = Clinic
        fields = ("time_zone", "blind_first")

    def __init__(self, *args: Any, is_decided: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["blind_first"] = ("yes" if self.instance.blind_first else "no") if is_decided else ""
        self.fields["time_zone"].widget.attrs |= _ZONE_ATTRIBUTES

    def clean_time_zone(self) -> str:
        """As `ClinicForm` reads it."""
        return zone_named(self.cleaned_data["time_zone"])


class ClinicForm(ModelFormOfClinic):
    """A clinic's settings; thresholds within what the active bundle allows, both or neither."""

    class Meta:
        model = Clinic
        fields = (
            *("name", "time_zone", "blind_first", "requires_second_factor"),
            *("threshold_low", "threshold_high", "retention_days"),
        )

    def __init__(self, *args: Any, bundle: Bundle | None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.bundle = bundle
        self.fields["retention_days"].widget.attrs["min"] = 1
        self.fields["time_zone"].widget.attrs |= _ZONE_ATTRIBUTES
        if bundle is None:
            del self.fields["threshold_low"], self.fields["threshold_high"]
            return
        for name in ("low", "high"):
            lowest, highest = bundle.thresholds["limits"][name]
            self.fields[f"threshold_{name}"].widget.attrs |= {"min": lowest, "max": highest, "step": "0.01"}

    def clean_time_zone(self) -> str:
        """The zone as `zone_named` finds it."""
        return zone_named(self.cleaned_data["time_zone"])

    def clean_retention_days(self) -> int | None:
        """At least one day, or None to keep studies for ever."""
        days: int | None = self.cleaned_data["retention_days"]
        if days is not None and days < 1:
            raise forms.ValidationError(_("Enter at least 1 day, or leave empty to keep studies forever."))
        return days

    def clean(self) -> dict[str, Any]:
        """Check the thresholds together: both or none, within the bundle's limits, in order."""
        cleaned = super().clean() or self.cleaned_data
        if self.bundle is None:
            return cleaned
        low, high = cleaned.get("threshold_low"), cleaned.get("threshold_high")
        if (low is None) != (high is None) and not self.errors:
            raise forms.ValidationError(
                _("Enter both thresholds, or leave both empty to use the model's defaults.")
            )
        if low is None or high is None:
            return cleaned
        for name, value in (("low", low), ("high", high)):
            lowest, highest = self.bundle.thresholds["limits"][name]
            if not lowest <= value <= highest:
                self.add_error(
                    f"threshold_{name}",
                    _("The model allows %(lowest)s to %(highest)s.")
                    % {"lowest": number_format(lowest), "highest": number_format(highest)},
                )
        if not self.errors and low > high:
            self.add_error("threshold_high", _("The upper threshold must not be below the lower one."))
        return cleaned
