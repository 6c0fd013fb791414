"""The rows for analyses that succeeded before the triggers of 0003."""

from django.db import migrations

FORWARDS = """
INSERT INTO reviews_answer (
    analysis_id, study_id, bundle_id, clinic_id, purpose, sent_at, verdict, body_part, probability
)
SELECT DISTINCT ON (a.study_id, a.bundle_id)
       a.id, a.study_id, a.bundle_id, a.clinic_id, a.purpose, s.created_at,
       a.verdict, a.body_part, a.probability
FROM analyses_analysis a JOIN studies_study s ON s.id = a.study_id
WHERE a.state = 'succeeded' AND a.forced_part IN ('', s.stated_part)
ORDER BY a.study_id, a.bundle_id, a.requested_at DESC, a.id
ON CONFLICT (study_id, bundle_id) DO NOTHING
"""


class Migration(migrations.Migration):

    dependencies = [("reviews", "0003_answers")]

    operations = [migrations.RunSQL(FORWARDS, migrations.RunSQL.noop)]
