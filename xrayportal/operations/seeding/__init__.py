"""A clinic filled with made-up rows, to measure and to try things on: ``manage.py seed_studies``."""

from xrayportal.operations.seeding.seed import Seeded, SeedRefusedError, seed_studies

__all__ = ["SeedRefusedError", "Seeded", "seed_studies"]
