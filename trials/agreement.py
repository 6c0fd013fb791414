"""Whether rows and files of a portal agree, asked of PostgreSQL and the folder themselves."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psycopg2

_COUNTS = """
SELECT
    (SELECT count(*) FROM studies_upload WHERE outcome = 'accepted'),
    (SELECT count(*) FROM studies_study),
    (SELECT count(*) FROM studies_study AS s WHERE 1 <> (
        SELECT count(*) FROM analyses_analysis AS a
        WHERE a.study_id = s.id AND a.state IN ('succeeded', 'failed'))),
    (SELECT count(*) FROM analyses_analysis WHERE state = 'succeeded'),
    (SELECT count(*) FROM analyses_analysis WHERE state = 'failed'),
    (SELECT count(*) FROM analyses_analysis WHERE state IN ('queued', 'running')),
    (SELECT count(*) FROM analyses_analysis AS a JOIN studies_study AS s ON s.id = a.study_id
     WHERE a.state = 'failed' AND a.error_kind NOT IN ('corrupt', 'truncated')),
    (SELECT count(*) FROM studies_study AS s JOIN analyses_analysis AS a ON a.study_id = s.id
     WHERE a.state = 'succeeded' AND s.current_id IS DISTINCT FROM a.id)
"""
_NAMES = """
SELECT file FROM studies_image
UNION SELECT unnest(ARRAY[display_file, thumbnail_file, overlay_file, map_file, depth_file])
FROM analyses_finding
"""
_REQUEUED = """
SELECT min(extract(epoch FROM at)) FROM audit_auditevent
WHERE action = 'analysis-requeued' AND detail ->> 'kind' = 'worker_died'
  AND at > to_timestamp(%s) AND at < to_timestamp(%s)
"""


@dataclass(frozen=True, slots=True)
class Results:
    """How far the analyses are."""

    database: str
    succeeded: int

    def requeued_between(self, moment: float, end: float) -> float | None:
        """Seconds from a moment until the work of a dead worker was taken back; None if not by ``end``."""
        with closing(psycopg2.connect(self.database)) as session, session.cursor() as cursor:
            cursor.execute(_REQUEUED, [moment, end])
            (found,) = cursor.fetchone() or (None,)
            return None if found is None else float(found) - moment


@dataclass(frozen=True, slots=True)
class Agreement:
    """What rows and files say of each other; ``wrong`` studies have not exactly one analysis that ended."""

    accepted: int
    studies: int
    wrong: int
    succeeded: int
    failed: int
    unfinished: int
    failed_otherwise: int
    not_current: int
    missing: list[str]
    orphans: list[str]

    def __str__(self) -> str:
        return (
            f"{self.accepted} accepted files, {self.studies} studies: {self.succeeded} succeeded, "
            f"{self.failed} failed, {self.unfinished} unfinished; {len(self.missing)} files missing, "
            f"{len(self.orphans)} without a row"
        )

    @property
    def is_complete(self) -> bool:
        """Whether nothing is to be done any more."""
        return not (self.unfinished or self.orphans or self.wrong)

    def problems(self, accepted: int) -> list[str]:
        """What was lost, doubled or stuck; ``accepted`` is how many files the sender was told so of."""
        found = {
            f"the sender was told that {accepted} files were accepted, the rows say {self.accepted}": (
                accepted != self.accepted
            ),
            f"{self.wrong} studies have not exactly one result": self.wrong > 0,
            f"{self.unfinished} analyses are stuck": self.unfinished > 0,
            f"{self.failed_otherwise} sound pictures failed": self.failed_otherwise > 0,
            f"{self.not_current} results are not their study's": self.not_current > 0,
            f"rows name files that are not there: {self.missing[:3]}": bool(self.missing),
            f"files have no row: {self.orphans[:3]}": bool(self.orphans),
        }
        return [sentence for sentence, holds in found.items() if holds]


def results_of(database: str) -> Results:
    """Ask how many analyses have succeeded. Raises `psycopg2.Error` while the database is away."""
    with closing(psycopg2.connect(database, connect_timeout=3)) as session, session.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM analyses_analysis WHERE state = 'succeeded'")
        (count,) = cursor.fetchone() or (0,)
        return Results(database, count)


def agreement_of(database: str, media: Path) -> Agreement:
    """Compare the rows with the files in the folder."""
    with closing(psycopg2.connect(database)) as session, session.cursor() as cursor:
        cursor.execute(_COUNTS)
        counts = cursor.fetchone() or ()
        cursor.execute(_NAMES)
        named = {name for (name,) in cursor.fetchall() if name}
    stored = {str(path.relative_to(media)) for path in (media / "clinics").rglob("*") if path.is_file()}
    return Agreement(*counts, missing=sorted(named - stored), orphans=sorted(stored - named))
