-- Derives: as result_of_study.sql, which this replaces; reason and leaning of the result stand in the row, too.

CREATE OR REPLACE FUNCTION studies_study_result() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.result_verdict := '';
    NEW.result_reason := '';
    NEW.result_leaning := '';
    NEW.result_body_part := '';
    NEW.result_probability := NULL;
    IF NEW.current_id IS NOT NULL THEN
        SELECT verdict, reason, leaning, body_part, probability
        INTO NEW.result_verdict, NEW.result_reason, NEW.result_leaning, NEW.result_body_part,
             NEW.result_probability
        FROM analyses_analysis WHERE id = NEW.current_id;
        IF NOT FOUND THEN
            -- The key is checked when the transaction ends; what it names must be there already.
            RAISE EXCEPTION 'analysis % must be stored before it is a current result', NEW.current_id
                USING ERRCODE = 'foreign_key_violation';
        END IF;
    END IF;
    RETURN NEW;
END $$;
DROP TRIGGER studies_study_result ON studies_study;
CREATE TRIGGER studies_study_result
    BEFORE INSERT OR UPDATE OF current_id, result_verdict, result_reason, result_leaning, result_body_part,
                               result_probability
    ON studies_study
    FOR EACH ROW EXECUTE FUNCTION studies_study_result();
