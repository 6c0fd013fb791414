"""Blind opinions that agree stand, whatever an adjudication says: renew what was derived otherwise."""

from django.db import migrations

# As reviews.settlement: the last blind opinion of each reader who signed, adjudications left out.
FORWARDS = """
UPDATE reviews_reading AS reading SET blind_verdict = coalesce(agreed.verdict, '')
FROM reviews_reading AS adjudicated LEFT JOIN (
    SELECT study_id, count(DISTINCT verdict) AS verdicts, min(verdict) AS verdict
    FROM (
        SELECT DISTINCT ON (said.study_id, said.reader_id) said.study_id, said.verdict
        FROM reviews_review AS said
        WHERE said.was_blind AND said.kind <> 'adjudication' AND EXISTS (
            SELECT FROM reviews_review AS own
            WHERE own.study_id = said.study_id AND own.reader_id = said.reader_id AND own.is_current
              AND own.signed_at IS NOT NULL AND own.kind <> 'adjudication'
        )
        ORDER BY said.study_id, said.reader_id, said.created_at DESC, said.id DESC
    ) AS last
    GROUP BY study_id
) AS agreed ON agreed.study_id = adjudicated.study_id
WHERE reading.study_id = adjudicated.study_id AND adjudicated.state = 'adjudicated'
  AND (agreed.verdicts IS NULL OR agreed.verdicts = 1)
"""


class Migration(migrations.Migration):

    dependencies = [("reviews", "0004_answers_of_earlier_analyses")]

    operations = [migrations.RunSQL(FORWARDS, migrations.RunSQL.noop)]
