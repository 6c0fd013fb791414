"""Which files went to a study of another submission stands in their own rows; PostgreSQL keeps it true.

So that a sender's studies are found without reading every file that they ever sent.
"""

from django.db import migrations, models

FORWARDS = """
CREATE FUNCTION studies_upload_elsewhere() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.elsewhere := EXISTS (
        SELECT FROM studies_image image JOIN studies_study study ON study.id = image.study_id
        WHERE image.id = NEW.image_id AND study.submission_id <> NEW.submission_id
    );
    RETURN NEW;
END $$;
CREATE TRIGGER studies_upload_elsewhere
    BEFORE INSERT OR UPDATE OF image_id, submission_id, elsewhere ON studies_upload
    FOR EACH ROW EXECUTE FUNCTION studies_upload_elsewhere();

CREATE FUNCTION studies_study_moved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE studies_upload SET elsewhere = elsewhere
    WHERE image_id IN (SELECT id FROM studies_image WHERE study_id = NEW.id);
    RETURN NULL;
END $$;
CREATE TRIGGER studies_study_moved
    AFTER UPDATE OF submission_id ON studies_study
    FOR EACH ROW WHEN (OLD.submission_id <> NEW.submission_id)
    EXECUTE FUNCTION studies_study_moved();

UPDATE studies_upload SET elsewhere = elsewhere
WHERE EXISTS (
    SELECT FROM studies_image image JOIN studies_study study ON study.id = image.study_id
    WHERE image.id = studies_upload.image_id AND study.submission_id <> studies_upload.submission_id
);
"""
BACKWARDS = """
DROP TRIGGER studies_study_moved ON studies_study;
DROP FUNCTION studies_study_moved();
DROP TRIGGER studies_upload_elsewhere ON studies_upload;
DROP FUNCTION studies_upload_elsewhere();
"""


class Migration(migrations.Migration):

    dependencies = [("studies", "0005_upload_names")]

    operations = [
        migrations.AddField(
            model_name="upload",
            name="elsewhere",
            field=models.BooleanField(default=False, editable=False),
        ),
        migrations.RunSQL(FORWARDS, BACKWARDS),
        migrations.AddIndex(
            model_name="upload",
            index=models.Index(
                condition=models.Q(elsewhere=True), fields=["submission"], name="upload_elsewhere"
            ),
        ),
    ]
