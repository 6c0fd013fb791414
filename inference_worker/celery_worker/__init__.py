"""The Celery worker: the only part of the inference worker that knows the portal."""

import os

# Before NumPy is imported. The out-of-distribution detector's small matrix product would wake the library's
# other threads, which then spin through the next forward pass and take the network's processors.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
