-- Derives: as in reference_predictions.sql, whose function this replaces; reason and leaning are copied, too.

CREATE OR REPLACE FUNCTION reviews_prediction_renew(of_study uuid, of_bundle bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO reviews_referenceprediction AS known (
        analysis_id, study_id, bundle_id, clinic_id, purpose, sent_at, verdict, reason, leaning,
        body_part, probability
    )
    SELECT a.id, a.study_id, a.bundle_id, a.clinic_id, a.purpose, s.created_at,
           a.verdict, a.reason, a.leaning, a.body_part, a.probability
    FROM analyses_analysis a JOIN studies_study s ON s.id = a.study_id
    WHERE a.study_id = of_study AND a.bundle_id = of_bundle AND a.state = 'succeeded'
      AND a.forced_body_part IN ('', s.stated_body_part)
    ORDER BY a.requested_at DESC, a.id
    LIMIT 1
    ON CONFLICT (study_id, bundle_id) DO UPDATE SET
        analysis_id = EXCLUDED.analysis_id, clinic_id = EXCLUDED.clinic_id, purpose = EXCLUDED.purpose,
        sent_at = EXCLUDED.sent_at, verdict = EXCLUDED.verdict, reason = EXCLUDED.reason,
        leaning = EXCLUDED.leaning, body_part = EXCLUDED.body_part, probability = EXCLUDED.probability;
    IF NOT FOUND THEN
        DELETE FROM reviews_referenceprediction WHERE study_id = of_study AND bundle_id = of_bundle;
    END IF;
END $$;
