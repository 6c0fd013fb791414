"""``make bench``: speed and memory, measured in one run so that ratios hold.

Every module of this package whose functions carry `benchmarks.registry.benchmark` adds rows; nothing
else has to know of it.
"""
