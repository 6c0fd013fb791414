"""Radiographs with labels, whatever they come from, as one kind of record; fetched, explored, prepared."""
