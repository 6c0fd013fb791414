"""Studies from before there were read marks: what no reader has given an opinion on waits."""

from django.db import migrations

FORWARDS = """
INSERT INTO worklist_unopened (study_id, clinic_id, since)
SELECT id, clinic_id, created_at FROM studies_study AS study
WHERE NOT EXISTS (SELECT 1 FROM reviews_review WHERE study_id = study.id)
ON CONFLICT DO NOTHING
"""


class Migration(migrations.Migration):

    dependencies = [("worklist", "0002_unopened"), ("reviews", "0001_initial")]

    operations = [migrations.RunSQL(FORWARDS, migrations.RunSQL.noop)]
