"""Many files at once: folders, ZIP archives, and the CSV that may lie beside them."""
