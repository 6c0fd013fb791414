"""The list of studies whose signed readers differ."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from django.db.models import QuerySet

from xrayportal.access import ClinicAccess
from xrayportal.analyses.latest import with_status
from xrayportal.clinics.models import User
from xrayportal.reviews import adjudication, blind
from xrayportal.reviews.models import Consensus, Review
from xrayportal.studies.models import Study


@dataclass(frozen=True)
class Row:
    """One study of the list, without the model's prediction."""

    consensus: Consensus
    study: Study
    #: Signed reviews; empty where this person must not know them yet.
    reviews: list[Review]
    may_settle: bool
    #: The person named to settle it; None for any third reader.
    adjudicator: User | None


def disagreements_of(access: ClinicAccess) -> QuerySet[Consensus]:
    """The clinic's open disagreements, longest waiting first."""
    return (
        Consensus.objects.filter(clinic=access.clinic, state=Consensus.State.DISAGREED)
        .select_related("adjudicator")
        .order_by("changed_at", "pk")
    )


def rows_of(access: ClinicAccess, consensuses: Sequence[Consensus], readers: Collection[User]) -> list[Row]:
    """The rows of one page, in two queries; ``readers`` are those of the clinic.

    Where the clinic reads blind first, other people's verdicts are shown only to a person who may settle the
    study or has given an opinion: they would influence a reader who has not.
    """
    ids = [consensus.pk for consensus in consensuses]
    studies = {
        study.pk: study
        for study in with_status(Study.objects.filter(pk__in=ids)).select_related("current__bundle")
    }
    reviews: dict[object, list[Review]] = {pk: [] for pk in ids}
    of_page = Review.objects.filter(study__in=ids, is_current=True).select_related("reader")
    for review in of_page.order_by("created_at", "pk"):
        reviews[review.study_id].append(review)
    rows = []
    for consensus in consensuses:
        study = studies.get(consensus.pk)
        if study is None:  # deleted since the page was counted
            continue
        current = reviews[consensus.pk]
        adjudicator = adjudication.adjudicator_of(consensus, readers)
        may_settle = adjudication.may_adjudicate(access, consensus, current, adjudicator=adjudicator)
        has_opinion = any(review.reader_id == access.user.pk for review in current)
        may_know = may_settle or has_opinion or not blind.reads_blind(access)
        signed = [review for review in current if review.is_signed] if may_know else []
        rows.append(Row(consensus, study, signed, may_settle, adjudicator))
    return rows
