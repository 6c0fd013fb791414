"""Secondary Capture: the view with its heatmap, and beneath it what the model says and may be used for."""

from __future__ import annotations

from typing import IO

import highdicom as hd
import numpy as np
from django.core.files.storage import default_storage
from PIL import Image, ImageDraw, ImageFont
from pydicom import Dataset

from inference_worker.render import within
from xrayportal.analyses.models import Verdict
from xrayportal.dicom.results.common import file_into_study
from xrayportal.dicom.results.views import MANUFACTURER, NOTICE, Result, View
from xrayportal.reviews.report.plate import caption_of
from xrayportal.words.verdicts import verdict_word

SERIES_NUMBER = 9001
#: Sharp enough for a screen; the original is beside it.
LONGEST_SIDE = 2048
#: How opaque full evidence is, as the viewer starts with.
OPACITY = 0.6
_INK, _PAPER = (235, 235, 235), (20, 24, 28)
_LINE_SHARE = 0.026


def secondary_captures(result: Result) -> list[Dataset]:
    """One object for each view that the model judged, with the heatmap where it has one."""
    return [_capture(result, view) for view in result.views if view.finding.probability is not None]


def _capture(result: Result, view: View) -> Dataset:
    original = view.original
    pixels = np.asarray(_picture(result, view), np.uint8)
    made = hd.sc.SCImage(
        pixel_array=pixels,
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        study_instance_uid=str(original.StudyInstanceUID),
        series_instance_uid=result.uid("capture-series"),
        series_number=SERIES_NUMBER,
        sop_instance_uid=result.uid("capture", view.finding.image_id),
        instance_number=view.number,
        manufacturer=MANUFACTURER,
        patient_orientation=("L", "F"),
    )
    # The picture was not turned, so it lies as the original does, which may not say how.
    made["PatientOrientation"] = original["PatientOrientation"]
    file_into_study(made, view, result)
    made.DateOfSecondaryCapture, made.TimeOfSecondaryCapture = made.ContentDate, made.ContentTime
    made.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    made.SeriesDescription = "X-Ray Portal: heatmap, research use only"
    made.ImageComments = NOTICE
    made.DerivationDescription = f"Heatmap of {result.analysis.bundle.name}"[:1024]
    made.BurnedInAnnotation = "NO"
    made.SoftwareVersions = result.analysis.software
    source = Dataset()
    source.ReferencedSOPClassUID = original.SOPClassUID
    source.ReferencedSOPInstanceUID = original.SOPInstanceUID
    made.SourceImageSequence = [source]
    return made


def _picture(result: Result, view: View) -> Image.Image:
    """The radiograph with the heatmap, longest side at most `LONGEST_SIDE`, and a strip of text beneath."""
    finding = view.finding
    with default_storage.open(finding.display_file, "rb") as file:
        radiograph = _open(file).convert("RGB")
    size = within(radiograph.width, radiograph.height, LONGEST_SIDE)
    radiograph = radiograph.resize(size, Image.Resampling.LANCZOS)
    if finding.overlay_file and finding.has_heatmap:
        with default_storage.open(finding.overlay_file, "rb") as file:
            heatmap = _open(file).convert("RGBA").resize(size, Image.Resampling.BILINEAR)
        mask = heatmap.getchannel("A").point(lambda level: round(level * OPACITY))
        radiograph.paste(heatmap.convert("RGB"), mask=mask)
    return _with_caption(radiograph, _lines(result, view))


def _lines(result: Result, view: View) -> list[str]:
    analysis = result.analysis
    caption = caption_of(
        view.finding, analysis, reference="", number=view.number, views=max(analysis.views, view.number)
    )
    lines = [NOTICE, caption.title, *caption.lines]
    if result.signed_verdict:
        signed = verdict_word(analysis.bundle.manifest, Verdict(result.signed_verdict))
        lines.insert(2, f"Signed by readers: {signed}")
    return lines


def _with_caption(picture: Image.Image, lines: list[str]) -> Image.Image:
    size = max(11, round(max(picture.size) * _LINE_SHARE))
    longest = max(lines, key=len)
    font = ImageFont.load_default(size)
    while size > 9 and font.getlength(longest) > picture.width - size:
        size -= 1
        font = ImageFont.load_default(size)
    leading = round(size * 1.5)
    sheet = Image.new("RGB", (picture.width, picture.height + leading * len(lines) + size), _PAPER)
    sheet.paste(picture)
    draw = ImageDraw.Draw(sheet)
    for number, line in enumerate(lines):
        draw.text((size // 2, picture.height + size // 2 + number * leading), line, _INK, font)
    return sheet


def _open(file: IO[bytes]) -> Image.Image:
    picture = Image.open(file)
    picture.load()
    return picture
