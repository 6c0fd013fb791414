"""The DICOM node: receives images from archives and modalities, and sends results back."""

#: Pause between two looks at what the clinics have set up, and at what is to be sent.
ROUND_SECONDS = 2.0
