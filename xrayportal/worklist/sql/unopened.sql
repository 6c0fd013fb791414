-- Derives: a new study was opened by nobody, whoever adds it.

CREATE FUNCTION worklist_unopened() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO worklist_unopened (study_id, clinic_id, since)
    VALUES (NEW.id, NEW.clinic_id, NEW.created_at) ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER worklist_unopened AFTER INSERT ON studies_study
    FOR EACH ROW EXECUTE FUNCTION worklist_unopened();
