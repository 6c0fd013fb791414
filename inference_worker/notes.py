"""Notes that travel with a result: what the decoder left out or changed to show the picture.

Each is a code for programs and a sentence for people. Imports nothing.
"""

from __future__ import annotations

WINDOW_UNUSABLE = "window_unusable"
RESCALE_UNUSABLE = "rescale_unusable"
LUT_UNUSABLE = "lut_unusable"
WINDOW_MISSES = "window_misses"
RESAMPLED = "resampled"

SENTENCES = {
    WINDOW_UNUSABLE: "the file's window is no pair of usable numbers and was left out",
    RESCALE_UNUSABLE: "the file's rescale slope and intercept are no usable numbers; they and the window "
    "were left out",
    LUT_UNUSABLE: "a look-up table of the file cannot be used and was left out",
    WINDOW_MISSES: "the file's window or look-up table shows next to nothing of this picture; another "
    "one or its own range of values is shown",
    RESAMPLED: "the file's pixels are not square; the picture was resampled",
}
