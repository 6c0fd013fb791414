"""The tabs of the worklist: which studies each of them holds, and who gets it.

No tab goes by a prediction, so none tells one to a reader who reads blind.
"""

from __future__ import annotations

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from xrayportal.access import ClinicAccess, Permission
from xrayportal.analyses.latest import failures
from xrayportal.reviews.models import Consensus, Review
from xrayportal.studies.models import Study, Submission
from xrayportal.worklist.marks import read_by

#: Code in the address → label, and whether the tab shows the work of readers.
TABS: dict[str, tuple[Promise, bool]] = {
    "unread": (_("Unread"), False),
    "mine": (_("Mine"), False),
    "drafts": (_("Drafts"), True),
    "review": (_("Needs review"), True),
    "disagreements": (_("Disagreements"), True),
}


def in_tab(access: ClinicAccess, code: str, studies: QuerySet[Study]) -> QuerySet[Study]:
    """Those of ``studies`` that the tab ``code`` holds; all of them for an empty or unknown code."""
    match code:
        case "unread":
            return studies.filter(~read_by(access))
        case "mine":
            reviewed = Review.objects.filter(reader=access.user, clinic=access.clinic).values("study")
            sent = Submission.objects.filter(submitter=access.user, clinic=access.clinic).values("pk")
            return studies.filter(Q(pk__in=reviewed) | Q(submission__in=sent))
        case "drafts":
            drafts = Review.objects.filter(reader=access.user, clinic=access.clinic, is_current=True)
            return studies.filter(pk__in=drafts.filter(signed_at__isnull=True).values("study"))
        case "review":
            signed = Consensus.objects.filter(study=OuterRef("pk")).exclude(state=Consensus.State.OPEN)
            # Also those that the model could not analyse: nobody has judged them at all.
            is_due = Q(current__isnull=False) | Q(pk__in=failures(access.clinic))
            return studies.filter(~Exists(signed), is_due)
        case "disagreements":
            disagreed = Consensus.objects.filter(clinic=access.clinic, state=Consensus.State.DISAGREED)
            return studies.filter(pk__in=disagreed.values("pk"))
        case _:
            return studies


def tabs_of(access: ClinicAccess) -> list[str]:
    """The codes of the tabs that this person gets, in their order."""
    return [
        code
        for code, (_word, is_for_readers) in TABS.items()
        if not is_for_readers or access.may(Permission.SEE_ALL)
    ]
