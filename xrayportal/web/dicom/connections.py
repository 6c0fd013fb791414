"""What a destination's row says of the newest test of its connection."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext as _

from xrayportal.dicom.models import Destination
from xrayportal.words.deliveries import connection_words


@dataclass(frozen=True)
class ShownConnection:
    """The newest test of a destination; ``refusal`` says why another one was not begun."""

    row: Destination
    refusal: str = ""

    @property
    def is_good(self) -> bool:
        """Whether the destination was reached and did not refuse."""
        return not self.refusal and (self.row.is_tested_now or self.row.test_outcome in Destination.REACHED)

    @property
    def sentence(self) -> str:
        """The answer for people; empty where nobody ever asked."""
        if self.refusal or self.row.test_asked_at is None:
            return self.refusal
        if self.row.is_tested_now:
            return _("Testing the connection …")
        if self.row.tested_at is None:
            return _("The DICOM node gave no answer: it does not run, or has very much to do.")
        return connection_words(self.row.test_outcome, self.row.test_code)
