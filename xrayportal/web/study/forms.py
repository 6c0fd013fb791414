"""Forms of the study page."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.utils.translation import gettext as _

from xrayportal.intake.deletion import REASONS, Reason
from xrayportal.intake.filenames import clean_reference
from xrayportal.web.shared.fields import CutCharField
from xrayportal.words.verdicts import body_part_word


class AnalysisForm(forms.Form):
    """How to analyse the study again: with a given body part, or empty to let the bundle find it."""

    forced_body_part = CutCharField(longest=32)


class CorrectionForm(forms.Form):
    """The patient reference and the body part, as the sender should have stated them; both may be empty."""

    patient_reference = CutCharField(longest=200)
    stated_body_part = forms.ChoiceField(required=False)

    def __init__(self, *args: Any, body_parts: Iterable[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [(body_part, body_part_word(body_part)) for body_part in body_parts]
        self.fields["stated_body_part"].choices = [("", _("Let the model find it")), *choices]  # type: ignore[attr-defined]  # of the base class

    def clean_patient_reference(self) -> str:
        """The reference as it is stored."""
        return clean_reference(self.cleaned_data["patient_reference"])


class DeleteForm(forms.Form):
    """The reason why a study is deleted."""

    reason = forms.ChoiceField(choices=REASONS)

    def clean_reason(self) -> Reason:
        """The reason as `delete_study` takes it."""
        return Reason(self.cleaned_data["reason"])
