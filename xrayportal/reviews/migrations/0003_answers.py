"""Which analysis counts, one narrow row a study and bundle: PostgreSQL itself keeps it.

Finding the newest succeeded analysis of each study and bundle took most of the scorecard's time; here it
is found once, when an analysis succeeds.
"""

import django.db.models.deletion
from django.db import migrations, models

FORWARDS = """
-- Whoever completes an analysis holds its study, so two of one study never renew at once.
CREATE FUNCTION reviews_answer_renew(of_study uuid, of_bundle bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO reviews_answer AS known (
        analysis_id, study_id, bundle_id, clinic_id, purpose, sent_at, verdict, body_part, probability
    )
    SELECT a.id, a.study_id, a.bundle_id, a.clinic_id, a.purpose, s.created_at,
           a.verdict, a.body_part, a.probability
    FROM analyses_analysis a JOIN studies_study s ON s.id = a.study_id
    WHERE a.study_id = of_study AND a.bundle_id = of_bundle AND a.state = 'succeeded'
      AND a.forced_part IN ('', s.stated_part)
    ORDER BY a.requested_at DESC, a.id
    LIMIT 1
    ON CONFLICT (study_id, bundle_id) DO UPDATE SET
        analysis_id = EXCLUDED.analysis_id, clinic_id = EXCLUDED.clinic_id, purpose = EXCLUDED.purpose,
        sent_at = EXCLUDED.sent_at, verdict = EXCLUDED.verdict, body_part = EXCLUDED.body_part,
        probability = EXCLUDED.probability;
    IF NOT FOUND THEN
        DELETE FROM reviews_answer WHERE study_id = of_study AND bundle_id = of_bundle;
    END IF;
END $$;

CREATE FUNCTION reviews_answer_of_analysis() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changed analyses_analysis;
BEGIN
    changed := CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
    PERFORM reviews_answer_renew(changed.study_id, changed.bundle_id);
    RETURN NULL;
END $$;
CREATE TRIGGER reviews_answer_added AFTER INSERT ON analyses_analysis
    FOR EACH ROW WHEN (NEW.state = 'succeeded') EXECUTE FUNCTION reviews_answer_of_analysis();
CREATE TRIGGER reviews_answer_changed
    AFTER UPDATE OF state, verdict, body_part, probability, forced_part, purpose, requested_at
    ON analyses_analysis
    FOR EACH ROW WHEN (OLD.state = 'succeeded' OR NEW.state = 'succeeded')
    EXECUTE FUNCTION reviews_answer_of_analysis();
CREATE TRIGGER reviews_answer_gone AFTER DELETE ON analyses_analysis
    FOR EACH ROW WHEN (OLD.state = 'succeeded') EXECUTE FUNCTION reviews_answer_of_analysis();

CREATE FUNCTION reviews_answers_of_study() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM reviews_answer_renew(NEW.id, known.bundle_id)
    FROM (
        SELECT DISTINCT bundle_id FROM analyses_analysis WHERE study_id = NEW.id AND state = 'succeeded'
    ) AS known;
    RETURN NULL;
END $$;
-- A study that comes with its result was copied in after it.
CREATE TRIGGER reviews_answers_copied AFTER INSERT ON studies_study
    FOR EACH ROW WHEN (NEW.current_id IS NOT NULL) EXECUTE FUNCTION reviews_answers_of_study();
-- A later view may bring the part that the first one lacked.
CREATE TRIGGER reviews_answers_restated AFTER UPDATE OF stated_part, created_at ON studies_study
    FOR EACH ROW WHEN (OLD.stated_part <> NEW.stated_part OR OLD.created_at <> NEW.created_at)
    EXECUTE FUNCTION reviews_answers_of_study();
"""

BACKWARDS = """
DROP TRIGGER reviews_answers_restated ON studies_study;
DROP TRIGGER reviews_answers_copied ON studies_study;
DROP FUNCTION reviews_answers_of_study();
DROP TRIGGER reviews_answer_gone ON analyses_analysis;
DROP TRIGGER reviews_answer_changed ON analyses_analysis;
DROP TRIGGER reviews_answer_added ON analyses_analysis;
DROP FUNCTION reviews_answer_of_analysis();
DROP FUNCTION reviews_answer_renew(uuid, bigint);
"""


class Migration(migrations.Migration):

    dependencies = [
        ('analyses', '0003_failures'),
        ('clinics', '0001_initial'),
        ('reviews', '0002_never_overwritten'),
        ('studies', '0004_results_of_earlier_studies'),
    ]

    operations = [
        migrations.CreateModel(
            name='Answer',
            fields=[
                ('analysis', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='answer', serialize=False, to='analyses.analysis')),
                ('purpose', models.CharField(max_length=16)),
                ('sent_at', models.DateTimeField()),
                ('verdict', models.CharField(choices=[('normal', 'Normal'), ('abnormal', 'Abnormal'), ('uncertain', 'Uncertain'), ('unsupported', 'Unsupported')], max_length=16)),
                ('body_part', models.CharField(blank=True, max_length=32)),
                ('probability', models.FloatField(null=True)),
                ('bundle', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='answers', to='analyses.bundle')),
                ('clinic', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='answers', to='clinics.clinic')),
                ('study', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='answers', to='studies.study')),
            ],
            options={
                'indexes': [models.Index(fields=['clinic', 'bundle', '-sent_at'], name='answer_by_time'), models.Index(condition=models.Q(('purpose', 'shadow')), fields=['clinic'], name='answer_shadows')],
                'constraints': [models.UniqueConstraint(fields=('study', 'bundle'), name='answer_one_a_bundle')],
            },
        ),
        migrations.RunSQL(FORWARDS, BACKWARDS),
    ]
