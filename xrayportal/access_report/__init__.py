"""Who saw a study, or all studies of a patient reference: from the audit chain, as rows, CSV and FHIR."""
