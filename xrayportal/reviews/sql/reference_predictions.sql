-- Derives: which analysis counts, one narrow row a study and bundle. Finding the newest succeeded analysis of
-- each took most of the scorecard's time; here it is found once, when an analysis succeeds.

-- Whoever completes an analysis holds its study, so two of one study never renew at once.
CREATE FUNCTION reviews_prediction_renew(of_study uuid, of_bundle bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO reviews_referenceprediction AS known (
        analysis_id, study_id, bundle_id, clinic_id, purpose, sent_at, verdict, body_part, probability
    )
    SELECT a.id, a.study_id, a.bundle_id, a.clinic_id, a.purpose, s.created_at,
           a.verdict, a.body_part, a.probability
    FROM analyses_analysis a JOIN studies_study s ON s.id = a.study_id
    WHERE a.study_id = of_study AND a.bundle_id = of_bundle AND a.state = 'succeeded'
      AND a.forced_body_part IN ('', s.stated_body_part)
    ORDER BY a.requested_at DESC, a.id
    LIMIT 1
    ON CONFLICT (study_id, bundle_id) DO UPDATE SET
        analysis_id = EXCLUDED.analysis_id, clinic_id = EXCLUDED.clinic_id, purpose = EXCLUDED.purpose,
        sent_at = EXCLUDED.sent_at, verdict = EXCLUDED.verdict, body_part = EXCLUDED.body_part,
        probability = EXCLUDED.probability;
    IF NOT FOUND THEN
        DELETE FROM reviews_referenceprediction WHERE study_id = of_study AND bundle_id = of_bundle;
    END IF;
END $$;

CREATE FUNCTION reviews_prediction_of_analysis() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changed analyses_analysis;
BEGIN
    changed := CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
    PERFORM reviews_prediction_renew(changed.study_id, changed.bundle_id);
    RETURN NULL;
END $$;
CREATE TRIGGER reviews_prediction_added AFTER INSERT ON analyses_analysis
    FOR EACH ROW WHEN (NEW.state = 'succeeded') EXECUTE FUNCTION reviews_prediction_of_analysis();
CREATE TRIGGER reviews_prediction_changed
    AFTER UPDATE OF state, verdict, body_part, probability, forced_body_part, purpose, requested_at
    ON analyses_analysis
    FOR EACH ROW WHEN (OLD.state = 'succeeded' OR NEW.state = 'succeeded')
    EXECUTE FUNCTION reviews_prediction_of_analysis();
CREATE TRIGGER reviews_prediction_gone AFTER DELETE ON analyses_analysis
    FOR EACH ROW WHEN (OLD.state = 'succeeded') EXECUTE FUNCTION reviews_prediction_of_analysis();

CREATE FUNCTION reviews_predictions_of_study() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM reviews_prediction_renew(NEW.id, known.bundle_id)
    FROM (
        SELECT DISTINCT bundle_id FROM analyses_analysis WHERE study_id = NEW.id AND state = 'succeeded'
    ) AS known;
    RETURN NULL;
END $$;
-- A study that comes with its result was copied in after it.
CREATE TRIGGER reviews_predictions_copied AFTER INSERT ON studies_study
    FOR EACH ROW WHEN (NEW.current_id IS NOT NULL) EXECUTE FUNCTION reviews_predictions_of_study();
-- A later view may bring the part that the first one lacked.
CREATE TRIGGER reviews_predictions_restated AFTER UPDATE OF stated_body_part, created_at ON studies_study
    FOR EACH ROW WHEN (OLD.stated_body_part <> NEW.stated_body_part OR OLD.created_at <> NEW.created_at)
    EXECUTE FUNCTION reviews_predictions_of_study();
