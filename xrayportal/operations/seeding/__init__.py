"""A clinic filled with made-up rows, to measure and to try things on: ``manage.py seed_studies``."""
