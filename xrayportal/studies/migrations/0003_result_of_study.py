"""What lists filter and sort by stands in the study's own row; PostgreSQL keeps it true to the current result."""

from django.db import migrations, models

FORWARDS = """
CREATE FUNCTION studies_study_result() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.result_verdict := '';
    NEW.result_part := '';
    NEW.result_probability := NULL;
    IF NEW.current_id IS NOT NULL THEN
        SELECT verdict, body_part, probability
        INTO NEW.result_verdict, NEW.result_part, NEW.result_probability
        FROM analyses_analysis WHERE id = NEW.current_id;
        IF NOT FOUND THEN
            -- The key is checked when the transaction ends; what it names must be there already.
            RAISE EXCEPTION 'analysis % must be stored before it is a current result', NEW.current_id
                USING ERRCODE = 'foreign_key_violation';
        END IF;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER studies_study_result
    BEFORE INSERT OR UPDATE OF current_id, result_verdict, result_part, result_probability ON studies_study
    FOR EACH ROW EXECUTE FUNCTION studies_study_result();
"""
BACKWARDS = """
DROP TRIGGER studies_study_result ON studies_study;
DROP FUNCTION studies_study_result();
"""


class Migration(migrations.Migration):

    dependencies = [
        ('analyses', '0003_failures'),
        ('clinics', '0001_initial'),
        ('studies', '0002_bulk'),
    ]

    operations = [
        migrations.AddField(
            model_name='study',
            name='result_part',
            field=models.CharField(blank=True, editable=False, max_length=32),
        ),
        migrations.AddField(
            model_name='study',
            name='result_probability',
            field=models.FloatField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name='study',
            name='result_verdict',
            field=models.CharField(blank=True, editable=False, max_length=16),
        ),
        migrations.AddIndex(
            model_name='study',
            index=models.Index(fields=['clinic', 'result_verdict', '-created_at'], name='study_by_verdict'),
        ),
        migrations.AddIndex(
            model_name='study',
            index=models.Index(fields=['clinic', 'result_part', '-created_at'], include=('result_verdict',), name='study_by_part'),
        ),
        migrations.AddIndex(
            model_name='study',
            index=models.Index(models.F('clinic'), models.OrderBy(models.F('result_probability'), descending=True, nulls_last=True), models.OrderBy(models.F('created_at'), descending=True), name='study_by_probability'),
        ),
        migrations.RunSQL(FORWARDS, BACKWARDS),
    ]
