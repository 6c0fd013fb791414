"""``python -m training``: from a folder of radiographs to a released bundle."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from inference_worker.manifest import BundleError
from training.datasets.opening import open_dataset
from training.datasets.record import DatasetError

if TYPE_CHECKING:
    from training.learning.configuration import Config

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

RUNS = Path("runs")
#: A module that is missing in one of these is a mistake of ours, and no package that could be installed.
OURS = ("training", "inference_worker")
# What a command needs is imported once its options, configuration and data are known to be sound: Keras
# takes seconds to load.
logger = logging.getLogger("training")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand; 0 if it succeeded, 1 with a sentence if not, 130 after Ctrl-C."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    command: Callable[[argparse.Namespace], None] = options.run
    try:
        command(options)
    except (DatasetError, BundleError) as error:
        logger.error("%s", error)
        return 1
    except OSError as error:
        logger.error("%s: %s.", error.filename or "The disk or the network", error.strerror or error)
        return 1
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in OURS:
            raise
        logger.error("The package %s is not installed: `make training` installs it.", error.name)
        return 1
    except KeyboardInterrupt:
        logger.error("Stopped. What was finished is kept; the same command goes on from there.")
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for add in (_add_datasets, _add_learning, _add_release, _add_evaluation):
        add(commands)
    return parser


def _add_datasets(commands: Commands) -> None:
    fetch = commands.add_parser("fetch", help="download FracAtlas, or say where to ask for MURA")
    fetch.add_argument("name", choices=("fracatlas", "mura"))
    fetch.add_argument("--to", type=Path, default=Path("data"), help="folder to download into")
    fetch.add_argument("--labels", type=Path, help="label file instead of the project's own")
    fetch.set_defaults(run=_fetch)

    explore = _command(commands, "explore", "counts, sizes, grey levels, duplicates; HTML and JSON")
    explore.add_argument("--out", type=Path, default=RUNS / "explore")
    explore.set_defaults(run=_explore)


def _add_learning(commands: Commands) -> None:
    train = _command(commands, "train", "train one configuration; goes on where it stopped")
    train.add_argument("--config", type=Path, required=True)
    train.add_argument("--logs", type=Path, help="folder for TensorBoard's logs")
    train.set_defaults(run=_train)

    crossvalidate = _command(commands, "crossvalidate", "train without each of five folds, and answer to it")
    crossvalidate.add_argument("--config", type=Path, required=True)
    crossvalidate.set_defaults(run=_crossvalidate)
    for command in (train, crossvalidate):
        command.add_argument("--weights", help="ImageNet weights: a file, or imagenet to download Keras' own")
        command.add_argument("--teacher", type=Path, help="folder of a teacher's out-of-fold answers")

    adopt = _command(commands, "adopt", "take in what training.accelerator brought from another machine")
    adopt.add_argument("file", type=Path, help="its result")
    adopt.add_argument("--folds", type=Path, required=True, help="configuration that was cross-validated")
    adopt.add_argument("--final", type=Path, required=True, help="configuration of the network that ships")
    adopt.set_defaults(run=_adopt)


def _add_release(commands: Commands) -> None:
    calibrate = _command(commands, "calibrate", "set calibration and thresholds of a bundle anew")
    calibrate.add_argument("--config", type=Path, required=True)
    calibrate.add_argument("--bundle", type=Path, required=True)
    calibrate.add_argument("--folds", type=Path, help="folder of the cross-validation that set the bundle")
    calibrate.set_defaults(run=_calibrate)

    export = _command(commands, "export", "write the bundle of finished runs")
    export.add_argument(
        "--config", type=Path, required=True, action="append", help="one, or one for every network"
    )
    export.add_argument("--bundle", type=Path, required=True, help="folder to write")
    export.add_argument("--name", help="name of the bundle (the folder's name)")
    export.add_argument("--version", required=True, help="e.g. 2026.11")
    export.add_argument(
        "--folds",
        type=Path,
        help="folder of a cross-validation, whose answers to all pictures set what is fitted",
    )
    export.add_argument("--strangers", type=Path, help="folder of pictures that are out of scope")
    export.add_argument(
        "--without",
        action="append",
        default=[],
        help="a source in that folder that is left out, e.g. for its licence",
    )
    export.add_argument(
        "--int8", action="store_true", help="INT8 graphs, if the fold's AUC falls by no more than 0.003"
    )
    export.set_defaults(run=_export)


def _add_evaluation(commands: Commands) -> None:
    evaluate = _command(commands, "evaluate", "figures, plots and report of a bundle; writes its card")
    evaluate.add_argument("--bundle", type=Path, required=True)
    evaluate.add_argument("--split", choices=("train", "test"), default="test")
    evaluate.add_argument("--out", type=Path, default=RUNS / "evaluation")
    evaluate.add_argument("--explanations", type=Path, help="explanations.json of explain, for the report")
    evaluate.add_argument("--card", action="store_true", help="put the test split's figures into the bundle")
    evaluate.set_defaults(run=_evaluate)

    refused = commands.add_parser(
        "refused", help="what a bundle refuses of pictures from elsewhere, by source"
    )
    refused.add_argument("--bundle", type=Path, required=True)
    refused.add_argument("--pictures", type=Path, required=True, action="append", help="folder with a list")
    refused.set_defaults(run=_refused)

    explain = _command(commands, "explain", "the map beside other explanations, on the calibration fold")
    explain.add_argument("--config", type=Path, required=True)
    explain.add_argument("--bundle", type=Path, required=True)
    explain.add_argument("--limit", type=_count, help="so many pictures at most; ScoreCAM is slow")
    explain.add_argument("--out", type=Path, default=RUNS / "explain")
    explain.set_defaults(run=_explain)


def _command(commands: Commands, name: str, help_text: str) -> argparse.ArgumentParser:
    """A command over a data set."""
    parser = commands.add_parser(name, help=help_text)
    parser.add_argument("--data", type=Path, required=True, help="folder, or table of pictures (.csv)")
    parser.add_argument("--runs", type=Path, default=RUNS, help="folder of runs and of prepared pictures")
    return parser


def _count(text: str) -> int:
    if int(text) < 1:
        raise ValueError(text)
    return int(text)


def _fetch(options: argparse.Namespace) -> None:
    from training.datasets import fetch

    if options.name == "mura":
        logger.info("%s", fetch.MURA)
        return
    fetch.fracatlas(options.to, options.labels or fetch.OUR_LABELS)


def _explore(options: argparse.Namespace) -> None:
    from training.datasets.explore import explore

    logger.info("%s", explore(open_dataset(options.data), options.out))


def _train(options: argparse.Namespace) -> None:
    config, dataset = _config(options.config), open_dataset(options.data)
    from training.learning.train import train

    train(config, dataset, options.runs, options.weights, options.logs, options.teacher)


def _crossvalidate(options: argparse.Namespace) -> None:
    config, dataset = _config(options.config), open_dataset(options.data)
    from training.evaluation.crossvalidate import crossvalidate

    crossvalidate(config, dataset, options.runs, options.weights, options.teacher)


def _adopt(options: argparse.Namespace) -> None:
    folds, final, dataset = _config(options.folds), _config(options.final), open_dataset(options.data)
    from training.evaluation.adopt import adopt

    adopt(options.file, folds, final, dataset, options.runs)


def _calibrate(options: argparse.Namespace) -> None:
    config, dataset = _config(options.config), open_dataset(options.data)
    from training.release.recalibrate import recalibrate

    recalibrate(config, dataset, options.runs, options.bundle, options.folds)


def _export(options: argparse.Namespace) -> None:
    configs, dataset = [_config(path) for path in options.config], open_dataset(options.data)
    from training.release.export import Release, export
    from training.release.strangers import read_strangers

    outside = read_strangers(options.strangers, options.without) if options.strangers else []
    release_as = Release(options.name or options.bundle.name, options.version)
    export(
        configs, dataset, options.runs, options.bundle, release_as,
        int8=options.int8, folds=options.folds, outside=outside,
    )  # fmt: skip


def _config(path: Path) -> Config:
    from training.learning.configuration import read_config

    return read_config(path)


def _evaluate(options: argparse.Namespace) -> None:
    from training.evaluation.evaluate import evaluate
    from training.release.card import check_card, write_card

    dataset, cache = open_dataset(options.data), options.runs / "cache"
    if options.card:
        check_card(options.bundle, dataset, options.split)
    evaluate(options.bundle, dataset, options.split, cache, options.out, options.explanations)
    if options.card:
        write_card(options.bundle, options.out)


def _refused(options: argparse.Namespace) -> None:
    from training.release.refusals import refusals

    logger.info("%s", refusals(options.bundle, options.pictures))


def _explain(options: argparse.Namespace) -> None:
    config, dataset = _config(options.config), open_dataset(options.data)
    from training.evaluation.explain import explain

    explain(config, options.bundle, dataset, options.runs, options.out, options.limit)


if __name__ == "__main__":
    sys.exit(main())
