"""The DICOM attributes and transfer syntaxes that it takes to show a picture.

The intake keeps these attributes and the decoder uses them: one that stood in one list only would be lost or
ignored. Imports no decoder.
"""

from __future__ import annotations

from pydicom.uid import (
    JPEG2000,
    UID,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

#: A file holds one of them.
PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")

#: Millimetres per pixel, in order of preference: calibrated if the file has it, else at the detector.
SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")

#: Numbers of public meaning.
NUMBERS = (
    *("SamplesPerPixel", "PlanarConfiguration", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit"),
    *("PixelRepresentation", "SmallestImagePixelValue", "LargestImagePixelValue", "PixelAspectRatio"),
    *("PixelPaddingValue", "PixelPaddingRangeLimit", "PixelIntensityRelationshipSign"),
    *("WindowCenter", "WindowWidth", "RescaleIntercept", "RescaleSlope"),
    *SPACINGS,
    *("EstimatedRadiographicMagnificationFactor", "LossyImageCompressionRatio"),
    *("RedPaletteColorLookupTableDescriptor", "RedPaletteColorLookupTableData"),
    *("GreenPaletteColorLookupTableDescriptor", "GreenPaletteColorLookupTableData"),
    *("BluePaletteColorLookupTableDescriptor", "BluePaletteColorLookupTableData"),
)
#: Words of code lists.
CODES = (
    *("Modality", "PhotometricInterpretation", "BodyPartExamined", "ViewPosition", "Laterality"),
    *("ImageLaterality", "PatientOrientation", "VOILUTFunction", "PresentationLUTShape"),
    *("PixelIntensityRelationship", "LossyImageCompression", "LossyImageCompressionMethod"),
    *("BurnedInAnnotation", "RescaleType"),
)
#: Sequences of look-up tables (PS3.3 C.11.1, C.11.2), and the attributes of an item.
MODALITY_LUTS, VOI_LUTS = "ModalityLUTSequence", "VOILUTSequence"
LUT_SEQUENCES = (MODALITY_LUTS, VOI_LUTS)
LUT_ATTRIBUTES = ("LUTDescriptor", "LUTData", "ModalityLUTType")

#: The decoder of `inference_worker.decode.subprocess_decode`.
GDCM = "gdcm"
#: Compressed transfer syntaxes that the portal takes, and the decoder of each (a plug-in of pydicom).
DECODERS: dict[UID, str] = {
    JPEGBaseline8Bit: "pillow",
    JPEGExtended12Bit: "pillow",
    JPEGLossless: GDCM,
    JPEGLosslessSV1: GDCM,
    JPEGLSLossless: GDCM,
    JPEGLSNearLossless: GDCM,
    JPEG2000Lossless: "pylibjpeg",
    JPEG2000: "pylibjpeg",
    RLELossless: "pydicom",  # pylibjpeg-rle panics on damaged runs, past every `except Exception`
}
