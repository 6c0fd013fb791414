"""The place of a waiting analysis in the line and its expected time, from the rows that the claim goes by."""

from __future__ import annotations

from dataclasses import dataclass, replace

from django.conf import settings
from django.core.cache import cache
from django.db import connection

from xrayportal.analyses.models import Analysis
from xrayportal.studies.models import Queue

#: How far the queue is counted; beyond, a position is "more than" and no time is given.
FARTHEST = 10_000
#: Every page that polls asks; the throughput changes slowly.
_REMEMBERED_SECONDS = 5
#: An analysis that takes so many times, and so many seconds, longer than the slow case holds its worker up.
UNUSUAL, UNUSUAL_SECONDS = 3.0, 5.0

# Lanes as in claims.CLAIM. `turn` is our place in our own lane. Every other clinic comes before us with as
# many as it has, up to our turn; half of those in our own turn are before us, on average: counted as all.
_AHEAD = """
WITH own AS (
    SELECT count(*) + 1 AS turn FROM (
        SELECT 1 FROM analyses_analysis AS a
        WHERE a.state = 'queued' AND a.queue = %(queue)s AND a.clinic_id = %(clinic)s AND a.id <> %(id)s
          AND (a.priority > %(priority)s OR (a.priority = %(priority)s AND a.requested_at < %(requested_at)s))
        LIMIT %(farthest)s
    ) AS before
)
SELECT (SELECT turn FROM own) - 1 + coalesce(sum(others.waiting), 0), (
    SELECT count(*) FROM (
        SELECT 1 FROM analyses_analysis WHERE state = 'queued' AND queue <> %(queue)s LIMIT %(farthest)s
    ) AS waiting
)
FROM clinics_clinic AS clinic
CROSS JOIN LATERAL (
    SELECT count(*) AS waiting FROM (
        SELECT 1 FROM analyses_analysis AS a
        WHERE a.state = 'queued' AND a.queue = %(queue)s AND a.clinic_id = clinic.id
        LIMIT least((SELECT turn FROM own), %(farthest)s)
    ) AS head
) AS others
WHERE clinic.id <> %(clinic)s
"""

# A worker's seconds for one analysis: since it finished the one before, or since it claimed this one; those
# that it stored together took equal parts of that time. And for each live worker the seconds that it has
# spent on the one at hand: 0 if it has none.
_THROUGHPUT = """
WITH recent AS (
    SELECT worker, started_at, finished_at FROM analyses_analysis
    WHERE state = 'succeeded' ORDER BY finished_at DESC LIMIT 200
), stored AS (
    SELECT worker, finished_at, min(started_at) AS started_at, count(*)::int AS together
    FROM recent GROUP BY worker, finished_at
), each AS (
    SELECT together, extract(epoch FROM finished_at - greatest(
        started_at, lag(finished_at) OVER (PARTITION BY worker ORDER BY finished_at)
    )) / together AS seconds
    FROM stored
)
SELECT percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY seconds), (
    SELECT coalesce(array_agg(coalesce(CASE WHEN at_hand.started_at IS NOT NULL THEN
        extract(epoch FROM statement_timestamp() - greatest(at_hand.started_at, (
            SELECT max(finished_at) FROM recent WHERE recent.worker = live.name
        )))
    END, 0)), ARRAY[]::numeric[])
    FROM analyses_worker AS live
    LEFT JOIN LATERAL (
        SELECT min(started_at) AS started_at FROM analyses_analysis AS a
        WHERE a.state = 'running' AND a.worker = live.name
    ) AS at_hand ON true
    WHERE last_seen > statement_timestamp() - make_interval(secs => %(lease)s)
)
FROM each CROSS JOIN generate_series(1, together)
"""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A place in the line: ``position`` 1 is next. ``seconds`` until the result in the median case.

    One analysis in ten takes longer than ``seconds_slow``. Both are ``None`` where nothing is known to judge
    by: no worker lives, none has finished anything yet, all are busy with an analysis that takes unusually
    long (``is_held_up``), or the queue is longer than is counted.
    """

    position: int
    seconds: float | None = None
    seconds_slow: float | None = None
    has_worker: bool = True
    is_held_up: bool = False


@dataclass(frozen=True, slots=True)
class _Throughput:
    """One worker's seconds for an analysis, median and 90th percentile; ``busy``, seconds at hand of each."""

    median: float | None
    slow: float | None
    busy: list[float]

    @property
    def moving(self) -> int:
        """How many live workers are not busy with something that takes unusually long."""
        if self.slow is None:
            return len(self.busy)
        longest = max(UNUSUAL * self.slow, self.slow + UNUSUAL_SECONDS)
        return sum(seconds <= longest for seconds in self.busy)


def waiting_position(analysis: Analysis) -> Waiting:
    """The place of a ``queued`` analysis in the order of claims, and its time; two queries at most."""
    with connection.cursor() as cursor:
        cursor.execute(
            _AHEAD,
            {
                "id": analysis.pk,
                "queue": analysis.queue,
                "clinic": analysis.clinic_id,
                "priority": analysis.priority,
                "requested_at": analysis.requested_at,
                "farthest": FARTHEST,
            },
        )
        alike, other = (int(count) for count in cursor.fetchone())
    # One start in `every` is bulk as long as there is bulk; what is interactive fills the rest.
    every = settings.BULK_EVERY
    if analysis.queue == Queue.INTERACTIVE:
        ahead = alike + min(other, alike // max(every - 1, 1))
    else:
        ahead = alike + min(other, (alike + 1) * (every - 1))
    now = _throughput()
    place = Waiting(ahead + 1, has_worker=bool(now.busy), is_held_up=bool(now.busy) and not now.moving)
    if now.median is None or now.slow is None or not now.moving or ahead >= FARTHEST:
        return place
    rounds = ahead // now.moving + 1
    return replace(place, seconds=rounds * now.median, seconds_slow=rounds * now.slow)


def _throughput() -> _Throughput:
    """The workers' throughput, at most ``_REMEMBERED_SECONDS`` old."""
    throughput: _Throughput | None = cache.get("analyses.throughput")
    if throughput is None:
        with connection.cursor() as cursor:
            cursor.execute(_THROUGHPUT, {"lease": settings.LEASE_SECONDS})
            percentiles, busy = cursor.fetchone()
        median, slow = percentiles or (None, None)
        throughput = _Throughput(median, slow, [float(seconds) for seconds in busy])
        cache.set("analyses.throughput", throughput, _REMEMBERED_SECONDS)
    return throughput
