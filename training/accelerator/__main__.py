"""``python -m training.accelerator``: five folds, a larger teacher and the network that ships, in one go."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.datasets.opening import open_dataset
from training.datasets.record import Dataset, DatasetError
from training.datasets.squares import load
from training.learning.configuration import Config, read_config
from training.learning.splits import FOLDS, calibration_folds, cross_folds
from training.learning.teacher import Teacher, read_teacher

#: The larger teacher is Lite2.
WIDTH, DEPTH = 1.1, 1.2
PROBES = 8
logger = logging.getLogger("training")


def main(arguments: Sequence[str] | None = None) -> int:
    """Train and write the result; 0 if it succeeded, 1 with a sentence if not."""
    parser = argparse.ArgumentParser(prog="python -m training.accelerator", description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--folds", type=Path, required=True, help="configuration to cross-validate")
    parser.add_argument("--final", type=Path, required=True, help="configuration of the network that ships")
    parser.add_argument("--weights", type=Path, required=True, help="ImageNet weights of Lite0")
    parser.add_argument("--teacher", type=Path, help="folder of a teacher's out-of-fold answers")
    parser.add_argument(
        "--larger", type=Path, help="ImageNet weights of Lite2, to train one more teacher first"
    )
    parser.add_argument("--larger-size", type=int, default=448, help="side of its input in pixels")
    parser.add_argument("--larger-steps", type=int, default=850)
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of prepared pictures")
    parser.add_argument(
        "--out", type=Path, required=True, help="the result, an .npz for `python -m training adopt`"
    )
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        _run(options)
    except DatasetError as error:
        logger.error("%s", error)
        return 1
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        logger.error("PyTorch is not installed: install the build for your GPU as pytorch.org says.")
        return 1
    return 0


def _run(options: argparse.Namespace) -> None:
    config, final, dataset = (
        read_config(options.folds),
        read_config(options.final),
        open_dataset(options.data),
    )
    records = dataset.split("train")
    fold_of = {
        record.id: number for number, held in enumerate(cross_folds(dataset, config)) for record in held
    }
    fold = np.array([fold_of[record.id] for record in records])
    unseen = {record.id for record in calibration_folds(dataset, final)[1]}
    learns = np.flatnonzero([record.id not in unseen for record in records])
    teacher = read_teacher(options.teacher, records) if options.teacher else None

    import torch

    from training.accelerator.batches import Pictures
    from training.accelerator.network import LITE0, keras_arrays
    from training.accelerator.trainer import Trainer, answers, side_by_side

    torch.backends.cudnn.benchmark = True
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if options.larger:
        larger = replace(config, size=options.larger_size, teacher_share=0.0)
        teacher = _larger(options, larger, dataset, fold, device, teacher)
    pictures = Pictures(
        records,
        load(records, config.size, options.runs / "cache"),
        dataset.body_parts,
        device,
        config.map_positive,
    )
    if teacher is None:
        config, final = replace(config, teacher_share=0.0), replace(final, teacher_share=0.0)
    else:
        pictures.teach(teacher.probability, teacher.maps)
    start = _imagenet(options.weights)

    def trainer(name: str, rows: NDArray[np.intp], one: Config, seed: int) -> Trainer:
        network = _network(one, LITE0, len(dataset.body_parts), start)
        return Trainer(name, network, pictures, rows, one, steps=_steps(one), seed=seed)

    trainers = [
        trainer(f"fold {k}", np.flatnonzero(fold != k), config, 1000 * config.seed + k) for k in range(FOLDS)
    ]
    trainers.append(trainer("final", learns, final, 1000 * final.seed + FOLDS + 4))
    *networks, shipped = side_by_side(trainers)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = False
    found: dict[str, NDArray[Any]] = {}
    for number, network in enumerate(networks):
        rows = np.flatnonzero(fold == number)
        own = answers(network, pictures, rows)
        for name, values in (("logit", own.logit), ("part", own.body_part), ("map", own.map)):
            found.setdefault(name, np.zeros((len(records), *values.shape[1:]), np.float32))[rows] = values
    probe = np.arange(min(PROBES, len(records)))
    result: dict[str, Any] = {
        "image_id": np.array([record.id for record in records]),
        "fold": fold,
        "logit": found["logit"],
        "part": found["part"].astype(np.float16),
        "map": found["map"].astype(np.float16),
        "start": np.array(options.weights.name),
        "teacher": np.array(teacher.digest if teacher else ""),
        "probe/pictures": pictures.pixels[: len(probe)].cpu().numpy(),
        "probe/logit": answers(shipped, pictures, probe).logit,
        **{f"weights/{name}": array for name, array in keras_arrays(shipped).items()},
    }
    np.savez_compressed(options.out, **result)
    logger.info("%s", options.out)


def _larger(
    options: argparse.Namespace,
    config: Config,
    dataset: Dataset,
    fold: NDArray[np.intp],
    device: Any,
    other: Teacher | None,
) -> Teacher:
    """Out-of-fold answers of the larger network over four flips; with ``other``, the mean of both."""
    from training.accelerator.batches import Pictures
    from training.accelerator.network import scaled
    from training.accelerator.trainer import Trainer, flipped, side_by_side
    from training.release.calibrate import fit_platt, sigmoid

    records = dataset.split("train")
    squares = load(records, config.size, options.runs / "cache")
    pictures = Pictures(records, squares, dataset.body_parts, device, config.map_positive)
    stages, start = scaled(WIDTH, DEPTH), _imagenet(options.larger)
    trainers = [
        Trainer(
            f"larger {k}",
            _network(config, stages, len(dataset.body_parts), start),
            pictures,
            np.flatnonzero(fold != k),
            config,
            steps=options.larger_steps,
            seed=100 + k,
        )
        for k in range(FOLDS)
    ]
    logit = np.zeros(len(records), np.float32)
    maps = np.zeros((len(records), pictures.cells, pictures.cells), np.float32)
    for number, network in enumerate(side_by_side(trainers)):
        rows = np.flatnonzero(fold == number)
        logit[rows], maps[rows] = flipped(network, pictures, rows)
    abnormal = np.array([record.abnormal for record in records])
    chance = fit_platt(logit, abnormal).probability(logit)
    if other is not None:
        odds = (np.log(chance / (1 - chance)) + np.log(other.probability / (1 - other.probability))) / 2
        chance = sigmoid(odds)
        maps = (_fitted(maps, other.maps.shape[1:]) + other.maps) / 2
    return Teacher(chance.astype(np.float32), maps.astype(np.float32))


def _fitted(maps: NDArray[np.float32], side: tuple[int, ...]) -> NDArray[np.float32]:
    import torch
    import torch.nn.functional as F

    grid = torch.from_numpy(maps)[:, None]
    return np.asarray(F.interpolate(grid, side, mode="bilinear", align_corners=False)[:, 0])


def _imagenet(path: Path) -> Mapping[str, NDArray[np.float32]]:
    from training.network.lite0 import lite0_arrays

    try:
        return lite0_arrays(path)
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path} holds no weights of EfficientNet-Lite: {error}.") from error


def _network(config: Config, stages: Any, parts: int, start: Mapping[str, NDArray[np.float32]]) -> Any:
    from training.accelerator.network import Unified, load_keras

    network = Unified(stages, parts, config.dropout, config.drop_path)
    load_keras(network, start)
    return network


def _steps(config: Config) -> int:
    if not config.epoch_steps:
        raise DatasetError(f"{config.name} counts its epochs in pictures: set epoch_steps.")
    return config.epochs * config.epoch_steps


if __name__ == "__main__":
    sys.exit(main())
