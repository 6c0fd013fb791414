"""Forms of the study page."""

from __future__ import annotations

from django import forms

from xrayportal.intake.deletion import REASONS, Reason
from xrayportal.web.shared.fields import CutCharField


class AnalysisForm(forms.Form):
    """What to analyse the study with: a body part instead of the one that the bundle finds, or nothing."""

    forced_body_part = CutCharField(longest=32)


class DeleteForm(forms.Form):
    """Why a study is deleted."""

    reason = forms.ChoiceField(choices=REASONS)

    def clean_reason(self) -> Reason:
        """As the service takes it."""
        return Reason(self.cleaned_data["reason"])
