"""What pages show: words for codes, rows for lists, progress. Reads only; writes are services."""
