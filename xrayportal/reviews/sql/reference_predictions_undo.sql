-- Takes it back.

DROP TRIGGER reviews_predictions_restated ON studies_study;
DROP TRIGGER reviews_predictions_copied ON studies_study;
DROP FUNCTION reviews_predictions_of_study();
DROP TRIGGER reviews_prediction_gone ON analyses_analysis;
DROP TRIGGER reviews_prediction_changed ON analyses_analysis;
DROP TRIGGER reviews_prediction_added ON analyses_analysis;
DROP FUNCTION reviews_prediction_of_analysis();
DROP FUNCTION reviews_prediction_renew(uuid, bigint);
