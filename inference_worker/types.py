"""The records that travel through the pipeline, in the order in which they are made."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Literal, Protocol

# The portal takes the stages and verdicts from here, and its processes have no NumPy.
if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Verdict = Literal["normal", "abnormal", "uncertain", "unsupported"]
#: Where an uncertain probability lies: below or above the bundle's threshold `even`.
Leaning = Literal["towards_normal", "towards_abnormal"]
#: How much the map's peak stands out, by the bundle's own limits (`inference_worker.manifest.Location`).
LocationBand = Literal["none", "weak", "strong"]

#: The reason for an uncertain verdict without a probability: measured on this body part, the networks
#: could not tell abnormal from normal.
BODY_PART_NOT_JUDGED = "body_part_not_judged"


@dataclass(frozen=True, slots=True)
class Depth:
    """A grey picture of more than 256 values at its stored depth, as `Radiograph.pixels` lies.

    ``codes`` is ``uint16 (H, W)`` from 0, brighter ones higher. ``level`` and ``width`` are the window as
    sent, in codes: what lies between its ends goes from black to white along a straight line or, if there is
    one, along ``curve`` (display levels, evenly spaced). The number that people know a code by (stored value,
    rescaled) is ``first + code * step``. ``is_masked``: code 0 is no part of the picture and always black.
    """

    codes: NDArray[np.uint16]
    level: float
    width: float
    first: float = 0.0
    step: float = 1.0
    is_masked: bool = False
    curve: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Radiograph:
    """A decoded picture as a reader sees it on the screen.

    ``pixels`` is ``uint8`` of shape ``(height, width)``: VOI/window applied, MONOCHROME1
    inverted (bone is bright), EXIF orientation applied. ``chroma`` is the mean difference
    between the largest and smallest colour channel (0 for grey pictures, 0 to 255): a colour
    photograph has a large one. ``spacing`` is mm per pixel (row, column), if the file states it.
    ``notes`` are codes of `inference_worker.notes`: what was left out or changed to show the picture.
    ``depth`` is the picture before the window, where it holds more than ``pixels`` can.
    """

    pixels: NDArray[np.uint8]
    chroma: float = 0.0
    spacing: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()
    depth: Depth | None = None

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])


@dataclass(frozen=True, slots=True)
class Decoded:
    """A decoded picture and the milliseconds that its decoder took."""

    radiograph: Radiograph
    milliseconds: float


class Decoder(Protocol):
    """Decodes one file after the other: ``begin`` takes its bytes, ``result`` waits for the picture.

    Between the two the caller may do other work. ``result`` raises `UnreadableError`. ``give_up`` drops what
    was begun.
    """

    def begin(self, data: bytes) -> None: ...

    def result(self) -> Decoded: ...

    def give_up(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Geometry:
    """Where the picture lies inside the square network input, in input pixels.

    ``left``, ``top`` is the corner of the picture, ``inner_width`` by ``inner_height`` its size
    after scaling; ``width`` by ``height`` the displayed picture's own size.
    """

    size: int
    width: int
    height: int
    left: int
    top: int
    inner_width: int
    inner_height: int


@dataclass(frozen=True, slots=True)
class Outputs:
    """What one forward pass gives for N pictures, the same for every runtime.

    A network that is not ``unified`` has only its role's outputs; the others have a width of 0.

    ``body_part`` ``(N, P)`` float32, probabilities of the manifest's body parts, rows sum to 1.
    ``logit`` ``(N,)`` float32, uncalibrated logit of abnormality.
    ``map`` ``(N, h, w)`` float32, signed evidence map whose pooling (plus bias) is ``logit``:
    Grad-CAM at the last features is ``relu(map) / (h * w)`` exactly.
    ``embedding`` ``(N, D)`` float32, pooled features for the out-of-distribution detector.
    """

    body_part: NDArray[np.float32]
    logit: NDArray[np.float32]
    map: NDArray[np.float32]
    embedding: NDArray[np.float32]


class Runtime(Protocol):
    """A compiled network. ``name`` is ``openvino`` or ``tensorflow``, ``precision`` e.g. ``f32``.

    So many passes as ``at_once`` may run beside each other, in threads of the caller's.
    """

    name: str
    version: str
    precision: str
    at_once: int

    def infer(self, batch: NDArray[np.float32], *, is_alone: bool = True) -> Outputs:
        """One pass over ``batch`` of shape ``(N, size, size, 1)``, grey levels 0 to 255.

        ``is_alone``: it may take the whole machine; else its share as one of ``at_once``.
        """
        ...


class UnreadableError(Exception):
    """A file that cannot become a radiograph. ``str(error)`` is one sentence for people.

    ``kind`` is a short code for statistics (``empty``, ``not_a_picture``, ``truncated``, …).
    The sentence tells what is wrong and what to do; the caller adds the file's name.
    """

    def __init__(self, kind: str, sentence: str) -> None:
        super().__init__(sentence)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Timings:
    """Milliseconds by stage of the pipeline, for one picture."""

    decode: float = 0.0
    preprocess: float = 0.0
    infer: float = 0.0
    render: float = 0.0


#: The stages of the pipeline, in their order.
STAGES = tuple(field.name for field in fields(Timings))


@dataclass(frozen=True, slots=True)
class Finding:
    """The result for one picture.

    For ``unsupported``, and for a body part that the bundle does not judge (``reason`` is then
    `BODY_PART_NOT_JUDGED`, else empty), the fields ``probability``, ``peak``, ``trust``, ``map``,
    ``leaning`` and ``location`` are ``None``.
    ``body_parts`` are all body part probabilities by label. ``probability`` is calibrated, 0 to 1.
    ``peak`` is ``(x, y)`` in displayed pixels, ``None`` where ``location`` is ``"none"``: nothing stands
    out. ``map`` is ``float32 (h, w)``, cropped to the picture (no padding), signed, in logit units.
    ``trust`` is 0 to 1. ``leaning``, ``location`` and ``trust`` are ``None``, too, where the manifest has
    no figures for them. ``ood_distance`` is the out-of-distribution detector's distance divided by its
    limit: above 1 is out of distribution.
    """

    verdict: Verdict
    body_parts: dict[str, float]
    probability: float | None
    peak: tuple[int, int] | None
    trust: float | None
    map: NDArray[np.float32] | None
    ood_distance: float
    width: int
    height: int
    timings: Timings
    reason: str = ""
    leaning: Leaning | None = None
    location: LocationBand | None = None
