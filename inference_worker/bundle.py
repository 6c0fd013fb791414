"""Finds a bundle on disk, loads its manifest and checks every file against its sha256. Needs no NumPy."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from inference_worker.manifest import FILE_NAME, BundleError, Manifest, Network
from inference_worker.manifest_file import load_manifest

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
        """Load ``folder``'s manifest and check every file that it names. Raises `BundleError`."""
        manifest = load_manifest(folder)
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
    def detector_file(self) -> Path:
        """The parameters of the out-of-distribution detector."""
        return self.folder / self.manifest.out_of_distribution.file


def find_bundle(name: str | None = None) -> Path:
    """Find the folder of the bundle to use.

    ``name`` is a folder or a name under ``models/``. Without it the environment variable ``XRAY_BUNDLE``
    names one, and without that the only bundle under ``models/`` is taken. Raises `BundleError` if there is
    none, or several.
    """
    wanted = name or os.environ.get(ENVIRONMENT)
    if wanted:
        for folder in (Path(wanted), MODELS / wanted):
            if (folder / FILE_NAME).is_file():
                return folder
        raise BundleError(f"there is no bundle {wanted!r}, neither as a folder nor under {MODELS}")
    folders = sorted(path.parent for path in MODELS.glob(f"*/{FILE_NAME}"))
    if len(folders) == 1:
        return folders[0]
    if not folders:
        raise BundleError(f"there is no bundle under {MODELS}; name one with {ENVIRONMENT} or --bundle")
    names = ", ".join(folder.name for folder in folders)
    raise BundleError(
        f"several bundles lie under {MODELS} ({names}); name one with {ENVIRONMENT} or --bundle"
    )


def _check_named(folder: Path, manifest: Manifest) -> None:
    """Raise `BundleError` unless ``files`` gives a sum for every file that a runtime would load."""
    used = [manifest.out_of_distribution.file]
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
            actual = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BundleError(f"{path} is missing or cannot be opened") from error
    if actual != expected.lower():
        raise BundleError(f"{path} is not the file that was released: its sha256 differs from the manifest's")
