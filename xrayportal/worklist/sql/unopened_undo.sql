-- Takes it back.

DROP TRIGGER worklist_unopened ON studies_study;
DROP FUNCTION worklist_unopened();
