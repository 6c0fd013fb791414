"""What the three kinds of objects have in common."""

from __future__ import annotations

from pydicom import Dataset

from xrayportal.dicom.results.views import Result, View

#: Of the patient and the study; the objects go into the same study.
_OF_STUDY = (
    *("SpecificCharacterSet", "StudyInstanceUID", "PatientName", "PatientID", "IssuerOfPatientID"),
    *("PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID", "AccessionNumber"),
    "ReferringPhysicianName",
)


def file_into_study(made: Dataset, view: View, result: Result) -> None:
    """Give an object the view's patient and study, and dates that do not change when it is made again."""
    original = view.original
    for keyword in _OF_STUDY:
        if keyword in view.identifiers:
            made[keyword] = view.identifiers[keyword]
    date, time = f"{result.made_at:%Y%m%d}", f"{result.made_at:%H%M%S}"
    made.InstanceCreationDate = made.ContentDate = made.SeriesDate = date
    made.InstanceCreationTime = made.ContentTime = made.SeriesTime = time
    for equipment in made.get("ContributingEquipmentSequence", ()):
        equipment.ContributionDateTime = date + time
    made.TimezoneOffsetFromUTC = result.made_at.strftime("%z")
    # Type 2C: there, if only empty, where the image is of a body part that has two sides.
    if "Laterality" not in made and made.get("Modality") != "SR":
        made.Laterality = str(original.get("Laterality") or original.get("ImageLaterality") or "")
