"""Grayscale Softcopy Presentation State: the outlines of the hot regions, shown on the original image."""

from __future__ import annotations

import highdicom as hd
from highdicom.pr import (
    GraphicAnnotation,
    GraphicLayer,
    GraphicObject,
    GrayscaleSoftcopyPresentationState,
    TextObject,
)
from pydicom import Dataset

from xrayportal.analyses.models import LocationBand
from xrayportal.analyses.outcomes import outcome_of
from xrayportal.dicom.results.common import file_into_study
from xrayportal.dicom.results.regions import outlines
from xrayportal.dicom.results.views import MANUFACTURER, MODEL, NOTICE, Result, View
from xrayportal.words.figures import format_probability
from xrayportal.words.verdicts import verdict_word

SERIES_NUMBER = 9003


def presentation_states(result: Result) -> list[Dataset]:
    """One object for each view that has regions to mark."""
    made = (_state(result, view) for view in result.views)
    return [state for state in made if state is not None]


def _state(result: Result, view: View) -> Dataset | None:
    original = view.original
    columns, rows = int(original.Columns), int(original.Rows)
    marked = outlines(view.marked_map, columns, rows)
    if not marked:
        return None
    layer = GraphicLayer("REGION", order=1, description="Strongest evidence of the model")
    finding = view.finding
    verdict = verdict_word(result.analysis.bundle.manifest, outcome_of(finding))
    hint = " What is marked is only a hint." if finding.location == LocationBand.WEAK else ""
    text = f"{verdict} {format_probability(finding.probability)}.{hint} {NOTICE}"
    made = GrayscaleSoftcopyPresentationState(
        referenced_images=[original],
        series_instance_uid=result.uid("state-series"),
        series_number=SERIES_NUMBER,
        sop_instance_uid=result.uid("state", view.finding.image_id),
        instance_number=view.number,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MODEL,
        software_versions=result.analysis.software,
        device_serial_number="none",
        content_label="HEATMAP",
        content_description="Region of the strongest evidence, research use",
        content_creator_name="X-Ray Portal^",
        graphic_layers=[layer],
        graphic_annotations=[
            GraphicAnnotation(
                referenced_images=[original],
                graphic_layer=layer,
                graphic_objects=[
                    GraphicObject(
                        hd.pr.GraphicTypeValues.POLYLINE, outline, hd.pr.AnnotationUnitsValues.PIXEL
                    )
                    for outline in marked
                ],
                text_objects=[
                    TextObject(
                        text.encode("ascii", "ignore").decode(),  # the same in every character set
                        hd.pr.AnnotationUnitsValues.DISPLAY,
                        bounding_box=(0.02, 0.94, 0.98, 0.99),
                        text_justification=hd.pr.TextJustificationValues.LEFT,
                    )
                ],
            )
        ],
    )
    file_into_study(made, view, result)
    made.PresentationCreationDate, made.PresentationCreationTime = made.ContentDate, made.ContentTime
    made.SeriesDescription = "X-Ray Portal: marked regions, research use only"
    return made
