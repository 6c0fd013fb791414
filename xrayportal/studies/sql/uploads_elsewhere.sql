-- Derives: which uploads went to a study of another submission, so that a sender's studies are found without
-- reading every file that they ever sent.

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
