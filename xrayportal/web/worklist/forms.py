"""Forms of the worklist: an action on several studies, and a view to save."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from xrayportal.web.shared.fields import CutCharField, IdsField
from xrayportal.web.worklist.rows import PER_PAGE, Filters
from xrayportal.worklist.services import LONGEST_NAME, LONGEST_QUERY

#: More characters of an address are cut off.
LONGEST_ADDRESS = 1000


class BulkActionForm(forms.Form):
    """An action on studies of one page of the list; ``query`` is the list to come back to."""

    action = forms.CharField(required=False)
    study = IdsField(most=PER_PAGE)
    query = CutCharField(longest=LONGEST_ADDRESS)


class SavedViewForm(forms.Form):
    """The filters of an address, to save under a name."""

    name = CutCharField(longest=LONGEST_ADDRESS)
    query = CutCharField(longest=LONGEST_ADDRESS)

    def clean_name(self) -> str:
        """The name with single spaces between its words, cut to ``LONGEST_NAME``."""
        return " ".join(self.cleaned_data["name"].split())[:LONGEST_NAME]

    def clean_query(self) -> str:
        """The filters in their canonical order, without the page and unknown parameters; empty for none."""
        query: str = self.cleaned_data["query"]
        filters = Filters.read(QueryDict(query.removeprefix("?")))
        return "" if filters == Filters() else filters.query

    def clean(self) -> dict[str, Any]:
        """Check that there are a name and a filter, which is not too long."""
        cleaned = super().clean() or self.cleaned_data
        if not cleaned.get("name") or not cleaned.get("query"):
            raise ValidationError(_("Set a filter first, then give it a name."))
        if len(cleaned["query"]) > LONGEST_QUERY:
            raise ValidationError(_("This filter is too long to be saved. Shorten the search text."))
        return cleaned
