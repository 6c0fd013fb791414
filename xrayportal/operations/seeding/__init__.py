"""Made-up studies, to measure with: ``manage.py seed_studies``."""
