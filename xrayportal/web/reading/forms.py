"""The form that starts a reading session."""

from __future__ import annotations

from django import forms

from xrayportal.web.shared.fields import CutCharField, IdField
from xrayportal.web.worklist.forms import LONGEST_ADDRESS


class StartForm(forms.Form):
    """The list to go through, as the query of its address, and the study to begin with, if not the first."""

    query = CutCharField(longest=LONGEST_ADDRESS)
    study = IdField()
