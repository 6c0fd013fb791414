"""``python -m inference_worker PATH… [--json] [--heatmaps DIR] [--bundle DIR] [--runtime NAME]``.

Analyses pictures and DICOM files with a bundle, on this machine alone: no server, no database.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# Before NumPy is imported: other threads of its matrix library would spin through the next forward pass.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from inference_worker import RESEARCH_NOTICE
from inference_worker.bundle import Bundle, find_bundle
from inference_worker.decode import load_file
from inference_worker.decode.isolated import DecodeProcess, DecoderUnavailableError
from inference_worker.manifest import BundleError
from inference_worker.pipeline import Pipeline
from inference_worker.report import printable, record, sentence, write_heatmap
from inference_worker.runtimes import RUNTIMES, load_runtimes
from inference_worker.runtimes.precision import AUTO
from inference_worker.types import UnreadableError
from inference_worker.walk import expand

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status: 0, 1 if any file failed, 2 for wrong usage."""
    options = _parser().parse_args(arguments)
    with DecodeProcess() as decoder:
        try:
            if options.heatmaps is not None:
                options.heatmaps.mkdir(parents=True, exist_ok=True)
            decoder.start()  # it loads its libraries while the networks are loaded here
            bundle = Bundle.load(find_bundle(options.bundle))
            pipeline = Pipeline(
                bundle, load_runtimes(bundle, options.runtime, precision=AUTO), decoder=decoder
            )
        except (BundleError, DecoderUnavailableError, OSError) as error:
            print(f"inference_worker: {error}", file=sys.stderr)
            return USAGE
        except ImportError as error:
            print(f"inference_worker: {options.runtime} is not installed here ({error})", file=sys.stderr)
            return USAGE
        return _analyse_all(options, pipeline)


def _analyse_all(options: argparse.Namespace, pipeline: Pipeline) -> int:
    # The notice stands beside the lines that people keep, and outside those that programs parse.
    print(RESEARCH_NOTICE, file=sys.stderr if options.json else sys.stdout)
    status = OK
    progress = _Progress()
    for path in expand(Path(name) for name in options.paths):
        progress.show(path)
        line = _analyse(path, pipeline, options.heatmaps)
        progress.clear()
        if "error" in line:
            status = FAILED
        print(json.dumps(line) if options.json else sentence(line, pipeline.manifest), flush=True)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m inference_worker",
        description="Analyse radiographs: body part, verdict with probability, and heatmap.",
        epilog=f"Exit status: 0, or 1 if any file failed, 2 for wrong usage. {RESEARCH_NOTICE}",
    )
    parser.add_argument("paths", nargs="+", metavar="PATH", help="a picture, a DICOM file or a folder")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument(
        "--heatmaps", type=Path, metavar="DIR", help="write each picture with its heatmap into this folder"
    )
    parser.add_argument("--bundle", metavar="DIR", help="the bundle to use (else XRAY_BUNDLE, else models/)")
    parser.add_argument("--runtime", choices=RUNTIMES, default=RUNTIMES[0], help="default: %(default)s")
    return parser


def _analyse(path: Path, pipeline: Pipeline, heatmaps: Path | None) -> dict[str, Any]:
    try:
        result = pipeline.analyse(load_file(path, pipeline.limits))
        heatmap = None if heatmaps is None else write_heatmap(heatmaps, path, result, pipeline.manifest)
    except UnreadableError as error:
        return {"path": str(path), "error": str(error)}
    except OSError as error:
        return {"path": str(path), "error": f"The heatmap cannot be written: {error.strerror}."}
    return record(path, result, heatmap, pipeline)


class _Progress:
    """Shows the number and name of the current file on standard error, if that is a terminal."""

    def __init__(self) -> None:
        self._is_watched = sys.stderr.isatty()
        self._count = 0

    def show(self, path: Path) -> None:
        self._count += 1
        if self._is_watched:
            print(f"\r\x1b[K{self._count}: {printable(path.name)[:60]}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        if self._is_watched:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        exit_status = main()
    except KeyboardInterrupt:
        exit_status = INTERRUPTED
    except BrokenPipeError:
        # The program that took our lines has ended (`| head`); closing a full pipe at exit would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        exit_status = FAILED
    sys.exit(exit_status)
