-- Takes it back.

DROP TRIGGER reviews_review_keep ON reviews_review;
DROP FUNCTION reviews_review_keep();
