"""The portal on one machine: real PostgreSQL and Redis under ``VAR_DIR``, and every process in one tree."""
