"""Forms of uploading: a new submission, and one file of it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.formats import number_format
from django.utils.translation import gettext as _

from xrayportal.access import ClinicAccess
from xrayportal.intake.bulk.delivery import known_body_parts
from xrayportal.intake.filenames import clean_reference
from xrayportal.studies.models import Grouping, Queue, Submission
from xrayportal.web.shared.fields import CutCharField, IdField

#: A submission of more files is bulk work, which waits behind interactive work.
INTERACTIVE_FILES = 20
MOST_FILES = 100_000
LONGEST_PATH = 1000
LONGEST_KEY = 64
#: The largest number that the database can hold: a browser that refuses a file says how large it was.
LARGEST_SIZE = 2**63 - 1


class SubmissionForm(forms.Form):
    """A new submission: how many files will come, how they group into studies, and what it continues."""

    expected_files = forms.IntegerField(required=False, min_value=0, max_value=MOST_FILES)
    grouping = forms.CharField(required=False)
    continues = IdField()

    def clean_grouping(self) -> str:
        """The grouping; a folder is a study unless the sender says otherwise."""
        grouping: str = self.cleaned_data["grouping"]
        return grouping if grouping in Grouping.values else Grouping.FOLDERS

    @property
    def sentence(self) -> str:
        """The sentence for an invalid form."""
        limit = number_format(MOST_FILES, force_grouping=True)
        return _("Say how many files you will send: a number up to %(limit)s.") % {"limit": limit}

    def options(self, access: ClinicAccess) -> dict[str, Any]:
        """The arguments of ``create_submission`` that the form decides. Raises ValueError if invalid."""
        if not self.is_valid():
            raise ValueError(self.errors)
        expected = self.cleaned_data["expected_files"] or 0
        return {
            "queue": Queue.INTERACTIVE if expected <= INTERACTIVE_FILES else Queue.BULK,
            "expected_files": expected,
            "grouping": self.cleaned_data["grouping"],
            "continues": self._continued(access),
        }

    def _continued(self, access: ClinicAccess) -> Submission | None:
        """The person's own submission that was ended during a pause, if the form names one."""
        pk = self.cleaned_data["continues"]
        ended = access.submissions().filter(submitter=access.user, state=Submission.State.FINISHED)
        return ended.filter(pk=pk).first() if pk else None


def _clean_patient_reference(form: forms.Form) -> str:
    """The reference as it is stored."""
    return clean_reference(form.cleaned_data["patient_reference"])


def _clean_body_part(form: forms.Form) -> str:
    """The body part, empty for one that the active bundle does not know."""
    body_part: str = form.cleaned_data["body_part"]
    return body_part if body_part and body_part in known_body_parts() else ""


class DetailsForm(forms.Form):
    """What the sender says of all files at once, in a plain form."""

    patient_reference = forms.CharField(required=False)
    body_part = CutCharField(longest=32)

    clean_patient_reference = _clean_patient_reference
    clean_body_part = _clean_body_part


class UploadForm(forms.Form):
    """One file, or the reason why the sender's page refused it. Sending a ``key`` again changes nothing."""

    file = forms.FileField(required=False, allow_empty_file=True, max_length=None)
    key = forms.CharField(max_length=LONGEST_KEY, strip=False)
    #: The file's relative path where a folder was sent, for grouping.
    path = CutCharField(longest=LONGEST_PATH, strip=False)
    patient_reference = forms.CharField(required=False)
    #: What the sender chose for all files at once; a CSV's row about the file counts before both.
    body_part = CutCharField(longest=32)
    refusal = forms.CharField(required=False)
    size = forms.CharField(required=False)

    clean_patient_reference = _clean_patient_reference
    clean_body_part = _clean_body_part

    def clean_size(self) -> int:
        """Bytes, at most ``LARGEST_SIZE``; 0 for a text that is not a number."""
        try:
            return min(max(0, int(self.cleaned_data["size"] or "0")), LARGEST_SIZE)
        except ValueError:
            return 0

    def clean(self) -> dict[str, Any]:
        """Check that there is either a file or a refusal."""
        cleaned = super().clean() or self.cleaned_data
        if (cleaned.get("file") is None) != bool(cleaned.get("refusal")):
            raise ValidationError(self.instruction)
        return cleaned

    @property
    def instruction(self) -> str:
        """The sentence that says what to send."""
        return _("Send one file as “file” and a key of up to %(n)d characters as “key”.") % {"n": LONGEST_KEY}

    @property
    def sentence(self) -> str:
        """The sentence for an invalid form: what is wrong with the reference, else what to send."""
        reference = self.errors.get("patient_reference")
        return str(reference[0]) if reference and len(self.errors) == 1 else self.instruction
