"""Forms of the study page."""

from __future__ import annotations

from django import forms

from xrayportal.intake.deletion import REASONS, Reason
from xrayportal.web.shared.fields import CutCharField


class AnalysisForm(forms.Form):
    """How to analyse the study again: with a given body part, or empty to let the bundle find it."""

    forced_body_part = CutCharField(longest=32)


class DeleteForm(forms.Form):
    """The reason why a study is deleted."""

    reason = forms.ChoiceField(choices=REASONS)

    def clean_reason(self) -> Reason:
        """The reason as `delete_study` takes it."""
        return Reason(self.cleaned_data["reason"])
