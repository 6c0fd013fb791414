"""The DICOM node: receives images from archives and modalities, and sends results back."""
