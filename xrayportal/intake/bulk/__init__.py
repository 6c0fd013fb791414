"""Deliveries: a picture, a ZIP archive, a folder of this machine, or a CSV about files."""
