"""Data sets as one common record: MURA, FracAtlas, or any table of pictures."""

from training.datasets.record import Box, Dataset, DatasetError, Record, Split

__all__ = ["Box", "Dataset", "DatasetError", "Record", "Split"]
