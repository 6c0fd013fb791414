"""What is sent back of a result: a secondary capture, a structured report and a presentation state."""

import logging

# It quotes identifiers in what it logs.
logging.getLogger("highdicom").setLevel(logging.CRITICAL)
