"""Analyses radiographs: decode, preprocess, one forward pass, verdict, heatmap.

Only ``celery_worker`` knows Django, a database or a queue, so that the same pipeline runs from a
notebook and from ``python -m inference_worker``.
"""

RESEARCH_NOTICE = "Research use only: not for diagnosis."
