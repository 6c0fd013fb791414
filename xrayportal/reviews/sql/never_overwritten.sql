-- Protects: reviews are superseded, never overwritten; any other change is refused.

CREATE FUNCTION reviews_review_keep() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    kept reviews_review;
BEGIN
    kept := NEW;
    IF OLD.is_current AND NOT NEW.is_current THEN
        kept.is_current := OLD.is_current;
    END IF;
    IF OLD.is_current AND OLD.signed_at IS NULL AND NEW.signed_at IS NOT NULL THEN
        kept.signed_at := OLD.signed_at;
    END IF;
    -- The analysis that was shown may go with its bundle's clean-up; the rest of the row stays.
    IF NEW.analysis_id IS NULL THEN
        kept.analysis_id := OLD.analysis_id;
    END IF;
    IF kept IS DISTINCT FROM OLD THEN
        RAISE EXCEPTION 'a stored review is never changed: supersede it' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER reviews_review_keep BEFORE UPDATE ON reviews_review
    FOR EACH ROW EXECUTE FUNCTION reviews_review_keep();
