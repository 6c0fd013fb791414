"""DICOM without the person: nothing that names anybody is left in the bytes, no pixel is changed."""

from __future__ import annotations

import contextlib
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import DataElement, Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.pixels.utils import pixel_array
from pydicom.uid import ImplicitVRLittleEndian, JPEG2000Lossless, generate_uid

from tests.factories import dicom
from xrayportal.intake.deidentify.dicom import deidentify
from xrayportal.intake.rejection import RejectedError

KEY, OTHER_KEY = b"k" * 32, b"o" * 32
SECRETS = [
    *("Mustermann", "Erika", "PID-4711", "1964", "2024", "Heidestrasse", "St. Elsewhere", "Quacksalber"),
    *("ACC-90210", "SN-31337", "DOE PRIVATE", "DOEWARD", "private note", "Handgelenk", "over"),
]


def parsed(content: bytes) -> Dataset:
    return dcmread(BytesIO(content))


def packaged(name: str) -> bytes:
    path = get_testdata_file(name)
    assert path is not None
    return Path(path).read_bytes()


def test_nothing_that_names_somebody_is_left() -> None:
    uids = {
        keyword: generate_uid() for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    }
    source = dicom(
        study_uid=uids["StudyInstanceUID"],
        SeriesInstanceUID=uids["SeriesInstanceUID"],
        SOPInstanceUID=uids["SOPInstanceUID"],
        OperatorsName="Quacksalber^Nurse",
        ImageComments="Mustermann, Erika, *12.08.1964",
        OtherPatientIDs="PID-4711-B",
    )
    content = deidentify(source, KEY).content
    for secret in [*SECRETS, *uids.values()]:
        assert secret.encode() in source or secret in ("Erika", "over", "2024")
        assert secret.encode() not in content, secret
        assert secret.encode("utf-16-le") not in content, secret


def test_names_hidden_in_code_words_go_too() -> None:
    source = dicom(BodyPartExamined="Mustermann Erika", ViewPosition="PA of Erika", RescaleType="Erika M.")
    cleaned = parsed(deidentify(source, KEY).content)
    for keyword in ("BodyPartExamined", "ViewPosition", "RescaleType"):
        assert keyword not in cleaned


def test_names_in_luts_go_and_the_luts_stay() -> None:
    lut = Dataset()
    lut.LUTDescriptor = [2, 0, 16]
    lut.LUTExplanation = "for Mustermann"
    lut.LUTData = b"\x00\x00\xff\xff"
    cleaned = deidentify(dicom(VOILUTSequence=[lut]), KEY).content
    assert b"Mustermann" not in cleaned
    (kept,) = parsed(cleaned).VOILUTSequence
    assert (list(kept.LUTDescriptor), kept.LUTData) == ([2, 0, 16], b"\x00\x00\xff\xff")


def test_what_shows_the_picture_stays() -> None:
    cleaned = parsed(deidentify(dicom(), KEY).content)
    assert (cleaned.Modality, cleaned.BodyPartExamined, cleaned.ViewPosition) == ("CR", "WRIST", "PA")
    assert (cleaned.WindowCenter, cleaned.WindowWidth, cleaned.ImageLaterality) == (2048, 4096, "L")
    assert list(cleaned.ImagerPixelSpacing) == [0.15, 0.15]
    assert cleaned.PatientIdentityRemoved == "YES"
    assert cleaned.PatientName == cleaned.PatientBirthDate == ""
    assert cleaned.file_meta.MediaStorageSOPInstanceUID == cleaned.SOPInstanceUID
    assert all(
        element.tag.group in (0x0008, 0x0010, 0x0012, 0x0018, 0x0020, 0x0028, 0x7FE0) for element in cleaned
    )


def test_the_same_file_gives_the_same_bytes() -> None:
    source = dicom()
    assert deidentify(source, KEY).content == deidentify(source, KEY).content
    assert deidentify(source, KEY).content != deidentify(source, OTHER_KEY).content


def test_pseudonyms_group_within_a_clinic_and_nowhere_else() -> None:
    uid = generate_uid()
    one, two = (deidentify(dicom(study_uid=uid, shade=shade), KEY) for shade in (1, 2))
    assert one.study_key == two.study_key
    assert one.patient_reference == two.patient_reference
    assert parsed(one.content).StudyInstanceUID == parsed(two.content).StudyInstanceUID
    elsewhere = deidentify(dicom(study_uid=uid, shade=1), OTHER_KEY)
    assert elsewhere.study_key != one.study_key
    assert elsewhere.patient_reference != one.patient_reference
    stranger = deidentify(dicom(study_uid=uid, patient_id="PID-4712"), KEY)
    assert stranger.study_key != one.study_key
    assert parsed(one.content).StudyInstanceUID.startswith("2.25.")
    assert len(one.study_key) == 64
    assert parsed(one.content).PatientID == one.patient_reference


def test_without_ids_there_is_no_reference_and_no_group() -> None:
    anonymous = dicom(without=("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"))
    cleaned = deidentify(anonymous, KEY)
    assert (cleaned.patient_reference, cleaned.study_key) == ("", "")
    assert parsed(cleaned.content).SOPInstanceUID.is_valid
    assert deidentify(anonymous, KEY).content == cleaned.content


@pytest.mark.parametrize(
    "name",
    [f"RG{number}_{encoding}.dcm" for number in (1, 3) for encoding in ("UNCR", "UNCI", "J2KR", "J2KI")],
)
def test_real_radiographs_keep_their_pixels(name: str) -> None:
    source = packaged(name)
    cleaned = deidentify(source, KEY)
    before, after = parsed(source), parsed(cleaned.content)
    assert before.PixelData == after.PixelData
    assert before.file_meta.TransferSyntaxUID == after.file_meta.TransferSyntaxUID
    assert str(before.PatientName).encode() not in cleaned.content
    assert str(before.StudyInstanceUID).encode() not in cleaned.content


@pytest.mark.parametrize(
    "name",
    [
        "SC_rgb_expb_16bit.dcm",
        "SC_rgb_rle.dcm",
        "SC_rgb_jpeg_gdcm.dcm",
        "mlut_18.dcm",
        "vlut_04.dcm",
        "JPEGLSNearLossless_16.dcm",
    ],
)
def test_rare_encodings_decode_to_the_same_picture(name: str) -> None:
    source = packaged(name)
    before, after = parsed(source), parsed(deidentify(source, KEY).content)
    assert (pixel_array(before) == pixel_array(after)).all()


def test_implicit_representation() -> None:
    source = parsed(dicom())
    source.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    out = BytesIO()
    source.save_as(out, implicit_vr=True, little_endian=True)
    cleaned = deidentify(out.getvalue(), KEY)
    assert parsed(cleaned.content).file_meta.TransferSyntaxUID == ImplicitVRLittleEndian
    assert parsed(cleaned.content).PixelData == source.PixelData
    assert b"Mustermann" not in cleaned.content


def test_a_file_without_preamble() -> None:
    source = parsed(dicom())
    bare = BytesIO()
    del source.file_meta
    source.preamble = None
    source.save_as(bare, implicit_vr=True, little_endian=True)
    assert bare.getvalue()[:2] == b"\x08\x00"
    cleaned = parsed(deidentify(bare.getvalue(), KEY).content)
    assert cleaned.file_meta.TransferSyntaxUID == ImplicitVRLittleEndian
    assert cleaned.PixelData == source.PixelData


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("CT_small.dcm", "not-a-projection"),
        ("MR_small_RLE.dcm", "not-a-projection"),
        ("liver_1frame.dcm", "not-a-projection"),
        ("DICOMDIR", "not-a-projection"),
        ("SC_rgb_2frame.dcm", "multi-frame"),
        ("rtplan_truncated.dcm", "truncated"),
        ("meta_missing_tsyntax.dcm", "corrupt"),
        ("no_meta_group_length.dcm", "no-pixels"),
    ],
)
def test_others_are_refused_by_kind(name: str, kind: str) -> None:
    with pytest.raises(RejectedError) as caught:
        deidentify(packaged(name), KEY)
    assert caught.value.kind == kind


@pytest.mark.parametrize("keyword", ["Rows", "Columns", "BitsAllocated"])
@pytest.mark.parametrize("name", ["RG3_UNCR.dcm", "RG3_J2KR.dcm"])
@pytest.mark.parametrize("value", [None, "several"])
def test_a_picture_without_its_measures_is_refused(name: str, keyword: str, value: str | None) -> None:
    source = parsed(packaged(name))
    if value is None:
        delattr(source, keyword)
    else:
        setattr(source, keyword, [16, 16])
    out = BytesIO()
    source.save_as(out)
    with pytest.raises(RejectedError) as caught:
        deidentify(out.getvalue(), KEY)
    assert caught.value.kind == "corrupt"


@pytest.mark.parametrize("name", ["RG3_UNCR.dcm", "RG3_J2KI.dcm"])
def test_cut_anywhere_is_refused_never_a_crash(name: str) -> None:
    source = packaged(name)
    kinds = set()
    for length in [*range(132, 2600, 37), *range(2600, len(source) - 1000, len(source) // 23)]:
        with pytest.raises(RejectedError) as caught:
            deidentify(source[:length], KEY)
        kinds.add(caught.value.kind)
    assert kinds <= {"truncated", "corrupt", "no-pixels"}
    assert "truncated" in kinds


def test_damage_anywhere_is_refused_or_harmless() -> None:
    source = dicom()
    for at in range(132, 1400, 3):
        damaged = bytearray(source)
        damaged[at : at + 2] = b"\xff\x00"
        try:
            content = deidentify(bytes(damaged), KEY).content
        except RejectedError:
            continue
        assert b"Mustermann" not in content
        assert b"St. Elsewhere" not in content


def another_kind(tag: int, vr: str, value: object, lut: str = "") -> bytes:
    """A radiograph in which one listed element has another type than its tag says."""
    source = parsed(dicom())
    place = source
    if lut:
        place = Dataset()
        place.LUTDescriptor, place.LUTData = [2, 0, 16], b"\x00\x00\xff\xff"
        setattr(source, lut, [place])
    place[tag] = DataElement(tag, vr, value)
    out = BytesIO()
    source.save_as(out, enforce_file_format=True)
    return out.getvalue()


def person() -> list[Dataset]:
    hidden = Dataset()
    hidden.PatientName = "Mustermann^Erika"
    return [hidden]


WINDOW, PLANES, BODY_PART, LUT, MODALITY_LUT = 0x00281050, 0x00280006, 0x00180015, 0x00283006, 0x00283000


@pytest.mark.parametrize(
    ("tag", "vr", "value", "lut"),
    [
        (WINDOW, "SQ", person(), ""),
        (WINDOW, "LO", "Mustermann", ""),
        (WINDOW, "UT", "Mustermann", ""),
        (PLANES, "UT", "Mustermann", ""),
        (BODY_PART, "PN", "MUSTERMANN ERIKA BORN 1964 IN KOELN", ""),
        (BODY_PART, "CS", ["MUSTERMANN", "ERIKA", "BORN 1964"], ""),
        (LUT, "SQ", person(), "VOILUTSequence"),
        (LUT, "UT", "Mustermann", "VOILUTSequence"),
    ],
)
def test_names_under_a_tag_of_another_kind_go_too(tag: int, vr: str, value: object, lut: str) -> None:
    source = another_kind(tag, vr, value, lut)
    assert b"mustermann" in source.lower()
    cleaned = deidentify(source, KEY).content
    assert b"mustermann" not in cleaned.lower()
    assert parsed(cleaned).PixelData == parsed(source).PixelData


@pytest.mark.parametrize(
    ("tag", "vr", "value"),
    [
        (MODALITY_LUT, "LO", "no lut"),
        (MODALITY_LUT, "AT", 0x00100010),
        (BODY_PART, "AT", 0x00100010),
        (0x00280010, "DS", "1e400"),
        (0x00280008, "DS", "1e400"),
        (0x7FE00010, "LT", "no pixels"),
    ],
)
def test_elements_of_another_kind_are_dropped_or_refused_never_a_crash(
    tag: int, vr: str, value: object
) -> None:
    with contextlib.suppress(RejectedError):
        deidentify(another_kind(tag, vr, value), KEY)


def test_a_name_in_place_of_a_number_goes_too() -> None:
    source = dicom().replace(b"DS\x04\x002048", b"DS\x0a\x00Mustermann", 1)
    assert b"Mustermann" not in deidentify(source, KEY).content


def test_what_follows_the_picture_goes() -> None:
    pixels = parsed(dicom()).PixelData
    cleaned = deidentify(dicom(pixels=pixels + b"Mustermann, Erika" * 9), KEY)
    assert parsed(cleaned.content).PixelData == pixels


@pytest.mark.parametrize("items", [b"\xfe\xff\x00\xe0\x08\x00\x00\x00\x01\x02", b"\xfe\xff", b"no items"])
def test_items_that_end_early_are_refused(items: bytes) -> None:
    """What pydicom raises for them is no error of its own."""
    compressed = parsed(dicom())
    compressed.file_meta.TransferSyntaxUID = JPEG2000Lossless
    whole = b"\xfe\xff\x00\xe0\x00\x00\x00\x00\xfe\xff\x00\xe0\x02\x00\x00\x00\xff\x4f"
    compressed.PixelData = whole
    compressed["PixelData"].is_undefined_length = True
    file = BytesIO()
    compressed.save_as(file, enforce_file_format=True)
    with pytest.raises(RejectedError):
        deidentify(file.getvalue().replace(whole, items), KEY)
