"""The claim: one statement that decides which analyses a worker takes next."""

from __future__ import annotations

from django.conf import settings
from django.db import connection
from django.db.models import Prefetch, prefetch_related_objects

from xrayportal.analyses.models import Analysis, Bundle

# How it decides, from the inside out:
#
# owed     Bulk work has a share: one start in `every`. What it still has to get is counted over this batch
#          and those before it, so it needs no memory of its own and holds for any number of workers; a
#          batch never makes up for more than its own share, so that people do not wait behind arrears.
# lanes    The first few waiting rows of every clinic in each of the two queues. Each is a short walk down
#          the partial index, however long the lane; rows a rival has just locked are why it takes a few
#          more than the batch.
# ranked   Turn by turn: every clinic's first row before any clinic's second; among equals the clinic whose
#          last start lies farthest back. Within a clinic: priority, then age.
# pick     Locks the first few in that order and skips what a rival holds. The state is checked again on the
#          locked row, so a row that a rival took a moment ago is passed over.
# chosen   A row with earlier attempts may be the one that killed its worker: it goes alone, and then it
#          can blame nobody else. Locks on rows that are not chosen end with the statement.
CLAIM = """
WITH earlier AS (
    SELECT queue FROM analyses_analysis
    WHERE started_at IS NOT NULL
    ORDER BY started_at DESC
    LIMIT (%(every)s - 1) * %(limit)s
), owed AS (
    SELECT least(
        (count(*) + %(limit)s) / %(every)s - count(*) FILTER (WHERE queue = 'bulk'),
        (%(limit)s + %(every)s - 1) / %(every)s
    ) AS bulk
    FROM earlier
), lanes AS (
    SELECT lane.id, lane.queue, lane.priority, lane.requested_at, lane.turn, served.started_at AS served
    FROM clinics_clinic AS clinic
    CROSS JOIN (VALUES ('interactive'), ('bulk')) AS queue (name)
    CROSS JOIN LATERAL (
        SELECT head.*, row_number() OVER (ORDER BY head.priority DESC, head.requested_at, head.id) AS turn
        FROM (
            SELECT id, queue, priority, requested_at FROM analyses_analysis
            WHERE state = 'queued' AND queue = queue.name AND clinic_id = clinic.id
              AND not_before <= statement_timestamp()
            ORDER BY priority DESC, requested_at
            LIMIT %(limit)s + 4
        ) AS head
    ) AS lane
    LEFT JOIN LATERAL (
        SELECT started_at FROM analyses_analysis
        WHERE queue = queue.name AND clinic_id = clinic.id AND started_at IS NOT NULL
        ORDER BY started_at DESC
        LIMIT 1
    ) AS served ON true
), ranked AS (
    SELECT id, queue, row_number() OVER (
        PARTITION BY queue ORDER BY turn, served NULLS FIRST, priority DESC, requested_at, id
    ) AS rank
    FROM lanes
), pick AS MATERIALIZED (
    SELECT a.id, a.attempt, r.place
    FROM (
        SELECT ranked.id, row_number() OVER (
            ORDER BY queue = 'bulk' AND rank <= owed.bulk DESC, queue = 'interactive' DESC, rank
        ) AS place
        FROM ranked CROSS JOIN owed
        ORDER BY place
        LIMIT 4 * %(limit)s + 16
    ) AS r
    JOIN analyses_analysis AS a ON a.id = r.id
    WHERE a.state = 'queued'
    ORDER BY r.place
    LIMIT %(limit)s
    FOR UPDATE OF a SKIP LOCKED
), chosen AS (
    SELECT id, place FROM (
        SELECT id, attempt, place, first_value(attempt) OVER (ORDER BY place) AS first_attempt,
               row_number() OVER (ORDER BY place) AS position
        FROM pick
    ) AS p
    WHERE position = 1 OR (first_attempt = 0 AND attempt = 0)
), taken AS (
    UPDATE analyses_analysis AS a
    SET state = 'running', attempt = a.attempt + 1, claimed_alone = (SELECT count(*) = 1 FROM chosen),
        started_at = statement_timestamp(), worker = %(worker)s,
        leased_until = statement_timestamp() + make_interval(secs => %(lease)s)
    FROM chosen WHERE a.id = chosen.id
    RETURNING a.*, chosen.place
)
SELECT * FROM taken ORDER BY place
"""


def claim_analyses(*, worker: str, limit: int) -> list[Analysis]:
    """Take up to ``limit`` waiting analyses for the worker of this name, in the order of the work.

    They are ``running`` with a lease of ``LEASE_SECONDS`` when this returns, with bundle (but for its
    manifest), study and images loaded. The list is empty where nothing is due, or others were faster.
    """
    parameters = {
        "worker": worker,
        "limit": limit,
        "every": settings.BULK_EVERY,
        "lease": settings.LEASE_SECONDS,
    }
    claims = list(Analysis.objects.raw(CLAIM, parameters))
    # A manifest takes longer to decode than all the rest, and a worker has it in its bundle's folder.
    bundles = Prefetch("bundle", Bundle.objects.defer("manifest"))
    prefetch_related_objects(claims, bundles, "study__images")
    return claims


def has_due() -> bool:
    """Whether an analysis waits and may start now."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT 1 FROM analyses_analysis"
            " WHERE state = 'queued' AND not_before <= statement_timestamp())"
        )
        return bool(cursor.fetchone()[0])
