"""Files on their way in, and studies on their way out.

A file comes in through ``bulk.delivery`` (a picture, a ZIP archive or a CSV), or as one picture through
``ingest``; ``prepare`` checks and de-identifies it (``deidentify``) before anything is stored. ``services``
opens, finishes and cancels submissions and seals studies. ``deletion`` and ``retention`` remove studies.
"""
