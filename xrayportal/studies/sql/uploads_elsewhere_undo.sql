-- Takes it back.

DROP TRIGGER studies_study_moved ON studies_study;
DROP FUNCTION studies_study_moved();
DROP TRIGGER studies_upload_elsewhere ON studies_upload;
DROP FUNCTION studies_upload_elsewhere();
