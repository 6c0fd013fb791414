"""Proofs that need several machines or a container engine: each is a command that cleans up after itself."""
