"""Looks at a study, of which a visit leaves one event, however many pages and pictures it loads."""

from __future__ import annotations

from datetime import timedelta

from django.db import connection, models, transaction
from django.utils import timezone

from xrayportal.audit.models import Action, AuditEvent, Visit
from xrayportal.audit.services import Actor, record

#: A look that comes later than this after the event begins another visit.
VISIT = timedelta(minutes=30)

#: Returns a row where the look begins a visit, or is the first of one that shows the prediction.
_BEGIN = """
INSERT INTO audit_visit AS known (study_id, actor_id_text, actor_label, address, at, revealed)
VALUES (%(study)s, %(actor)s, %(label)s, %(address)s::inet, %(now)s, %(revealed)s)
ON CONFLICT ON CONSTRAINT audit_visit_once DO UPDATE SET at = EXCLUDED.at, revealed = EXCLUDED.revealed
WHERE known.at < %(since)s OR (EXCLUDED.revealed AND NOT known.revealed)
RETURNING id
"""


def record_look(
    *, clinic: models.Model, actor: Actor, study: models.Model, revealed: bool
) -> AuditEvent | None:
    """Record that the actor sees the study, once a visit; returns the event, None within a visit.

    ``revealed`` says whether the prediction is shown. The first look of a visit that shows it is an event of
    its own: whether a reader's opinion is blind goes by it. One query within a visit, whoever asks at once.
    """
    now = timezone.now()
    values = {
        "study": study.pk,
        "actor": actor.user_id,
        "label": actor.label,
        "address": actor.address,
        "now": now,
        "since": now - VISIT,
        "revealed": revealed,
    }
    known = Visit.objects.filter(
        study_id=study.pk,
        actor_id_text=actor.user_id,
        actor_label=actor.label,
        address=actor.address,
        at__gte=now - VISIT,
        revealed__in=[True] if revealed else [True, False],
    )
    if known.exists():
        return None
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(_BEGIN, values)
            if cursor.fetchone() is None:  # another request of the same page was faster
                return None
        return record(
            clinic=clinic,
            action=Action.STUDY_VIEWED,
            actor=actor,
            target=study,
            study=study,
            detail={"revealed": revealed},
        )


def forget_visits() -> int:
    """Remove the visits that are over; returns how many."""
    removed, _by_model = Visit.objects.filter(at__lt=timezone.now() - VISIT).delete()
    return removed
