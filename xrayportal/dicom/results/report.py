"""Structured Report, TID 1500: finding, probability, thresholds, model and body part, coded."""

from __future__ import annotations

from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    ComprehensiveSR,
    DeviceObserverIdentifyingAttributes,
    FindingSite,
    ImageRegion,
    LanguageOfContentItemAndDescendants,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    SourceImageForMeasurementGroup,
    SourceImageForRegion,
    TrackingIdentifier,
)
from pydicom import Dataset
from pydicom.sr.codedict import codes

from xrayportal.analyses.outcomes import outcome_of
from xrayportal.dicom.results import codes as ours
from xrayportal.dicom.results.common import file_into_study
from xrayportal.dicom.results.regions import outlines
from xrayportal.dicom.results.views import MANUFACTURER, MODEL, Result, View

SERIES_NUMBER = 9002


def structured_report(result: Result) -> Dataset:
    """One report of the study: the whole result first, then a group for each view."""
    originals = [view.original for view in result.views]
    content = MeasurementReport(
        observation_context=_context(result),
        procedure_reported=ours.PROCEDURE,
        imaging_measurements=[_whole(result), *(_group(result, view) for view in result.views)],
        title=codes.DCM.ImagingMeasurementReport,
        language_of_content_item_and_descendants=LanguageOfContentItemAndDescendants(
            CodedConcept("en", "RFC5646", "English")
        ),
    )
    made = ComprehensiveSR(
        evidence=originals,
        content=content[0],
        series_instance_uid=result.uid("report-series"),
        series_number=SERIES_NUMBER,
        sop_instance_uid=result.uid("report"),
        instance_number=1,
        manufacturer=MANUFACTURER,
        is_complete=True,
        is_final=False,
    )
    file_into_study(made, result.views[0], result)
    made.ManufacturerModelName = MODEL
    made.SoftwareVersions = result.analysis.software
    made.SeriesDescription = "X-Ray Portal: report, research use only"
    return made


def _context(result: Result) -> ObservationContext:
    device = DeviceObserverIdentifyingAttributes(
        uid=result.uid("device"),
        name=MODEL,
        manufacturer_name=MANUFACTURER,
        model_name=result.analysis.bundle.name,
    )
    return ObservationContext(observer_device_context=ObserverContext(codes.DCM.Device, device))


def _whole(result: Result) -> MeasurementsAndQualitativeEvaluations:
    analysis = result.analysis
    evaluations = [_verdict(outcome_of(analysis))]
    if result.signed_verdict:
        evaluations.append(
            QualitativeEvaluation(ours.SIGNED_VERDICT, ours.verdict_code(result.signed_verdict))
        )
    evaluations.append(QualitativeEvaluation(ours.USE, ours.RESEARCH_USE))
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(result.uid("study"), "Study"),
        finding_type=_target(result),
        algorithm_id=_algorithm(result),
        finding_sites=_sites(result, result.views[0].original),
        measurements=[
            *_probability(analysis.probability),
            Measurement(ours.LOWER_THRESHOLD, analysis.threshold_low, ours.ONE),
            Measurement(ours.UPPER_THRESHOLD, analysis.threshold_high, ours.ONE),
        ],
        qualitative_evaluations=evaluations,
        source_images=[_source(view) for view in result.views],
    )


def _group(
    result: Result, view: View
) -> MeasurementsAndQualitativeEvaluations | PlanarROIMeasurementsAndQualitativeEvaluations:
    finding, original = view.finding, view.original
    tracking = TrackingIdentifier(result.uid("view", finding.image_id), f"View {view.number}")
    measurements = _probability(finding.probability) or None
    evaluations = [_verdict(outcome_of(finding))]
    marked = outlines(view.marked_map, int(original.Columns), int(original.Rows))
    if not marked:
        return MeasurementsAndQualitativeEvaluations(
            tracking_identifier=tracking,
            finding_type=_target(result),
            algorithm_id=_algorithm(result),
            finding_sites=_sites(result, original),
            measurements=measurements,
            qualitative_evaluations=evaluations,
            source_images=[_source(view)],
        )
    # TID 1410 has room for one region: that with the strongest evidence.
    region = ImageRegion(
        "POLYLINE", marked[0], SourceImageForRegion(str(original.SOPClassUID), str(original.SOPInstanceUID))
    )
    return PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=tracking,
        referenced_region=region,
        finding_type=_target(result),
        algorithm_id=_algorithm(result),
        finding_sites=_sites(result, original),
        measurements=measurements,
        qualitative_evaluations=evaluations,
    )


def _probability(value: float | None) -> list[Measurement]:
    return [] if value is None else [Measurement(ours.PROBABILITY, round(value, 4), ours.ONE)]


def _verdict(outcome: str) -> QualitativeEvaluation:
    return QualitativeEvaluation(ours.MODEL_VERDICT, ours.verdict_code(outcome))


def _target(result: Result) -> CodedConcept:
    return CodedConcept.from_code(ours.target_code(str(result.analysis.bundle.manifest["target"]["code"])))


def _algorithm(result: Result) -> AlgorithmIdentification:
    name, _at, version = result.analysis.bundle.name.partition("@")
    return AlgorithmIdentification(name=name, version=version or result.analysis.software)


def _sites(result: Result, original: Dataset) -> list[FindingSite] | None:
    analysis = result.analysis
    site = ours.body_part_code(analysis.forced_body_part or analysis.body_part)
    if site is None:
        return None
    letter = str(original.get("ImageLaterality") or original.get("Laterality") or "")
    return [FindingSite(site, laterality=ours.laterality_code(letter))]


def _source(view: View) -> SourceImageForMeasurementGroup:
    return SourceImageForMeasurementGroup(str(view.original.SOPClassUID), str(view.original.SOPInstanceUID))
