-- Takes it back.

DROP TRIGGER studies_study_result ON studies_study;
DROP FUNCTION studies_study_result();
