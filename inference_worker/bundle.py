"""A bundle on disk: found, read, and every file checked against its sha256 before it is used."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from inference_worker.manifest import FILE_NAME, BundleError, Manifest, Network, read_manifest
from inference_worker.preprocess import CONTRAST_PERCENTILES

__all__ = ["Bundle", "BundleError", "find_bundle"]

#: Names the bundle's folder, or its name under `MODELS`, where no argument does.
ENVIRONMENT = "XRAY_BUNDLE"
MODELS = Path(__file__).resolve().parent.parent / "models"

#: An OpenVINO graph is two files; the manifest names the first.
_COMPANIONS = {".xml": ".bin"}


@dataclass(frozen=True, slots=True)
class Bundle:
    """A verified bundle: its manifest and the folder that its file names are relative to."""

    folder: Path
    manifest: Manifest

    @classmethod
    def load(cls, folder: Path) -> Bundle:
        """Read ``folder`` and verify it. Raises `BundleError`."""
        manifest = read_manifest(folder)
        if manifest.input.contrast_percentiles != CONTRAST_PERCENTILES:
            raise BundleError(
                f"{folder / FILE_NAME}: the networks were trained with contrast percentiles "
                f"{manifest.input.contrast_percentiles}, but this software stretches {CONTRAST_PERCENTILES}"
            )
        _check_named(folder, manifest)
        for name, expected in manifest.files.items():
            _check_file(folder / name, expected)
        return cls(folder, manifest)

    def file(self, network: Network, runtime: str) -> Path:
        """The graph of ``network`` for ``runtime``. Raises `BundleError` if the bundle has none."""
        if runtime not in network.files:
            raise BundleError(f"{self.manifest.label} has no {runtime} file for its network {network.id!r}")
        return self.folder / network.files[runtime]

    @property
    def scope_file(self) -> Path:
        return self.folder / self.manifest.scope.file


def find_bundle(name: str | None = None) -> Path:
    """The folder of the bundle to use.

    ``name`` is a folder or a name under ``models/``; without it ``XRAY_BUNDLE`` says the same, and
    without that the only bundle under ``models/`` is taken. Raises `BundleError` if there is none,
    or several.
    """
    wanted = name or os.environ.get(ENVIRONMENT)
    if wanted:
        for folder in (Path(wanted), MODELS / wanted):
            if (folder / FILE_NAME).is_file():
                return folder
        raise BundleError(f"there is no bundle {wanted!r}, neither as a folder nor under {MODELS}")
    found = sorted(path.parent for path in MODELS.glob(f"*/{FILE_NAME}"))
    if len(found) == 1:
        return found[0]
    if not found:
        raise BundleError(f"there is no bundle under {MODELS}; name one with {ENVIRONMENT} or --bundle")
    names = ", ".join(folder.name for folder in found)
    raise BundleError(
        f"several bundles lie under {MODELS} ({names}); name one with {ENVIRONMENT} or --bundle"
    )


def _check_named(folder: Path, manifest: Manifest) -> None:
    """Every file that would be loaded must be one whose sum is known."""
    used = [manifest.scope.file]
    for network in manifest.networks:
        used.extend(network.files.values())
    for name in tuple(used):
        companion = _COMPANIONS.get(Path(name).suffix)
        if companion:
            used.append(str(Path(name).with_suffix(companion)))
    missing = sorted(set(used) - set(manifest.files))
    if missing:
        raise BundleError(f"{folder / FILE_NAME}: `files` gives no sha256 for {', '.join(missing)}")


def _check_file(path: Path, expected: str) -> None:
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BundleError(f"{path} is missing or cannot be read") from error
    if found != expected.lower():
        raise BundleError(f"{path} is not the file that was released: its sha256 differs from the manifest's")
