"""Folds by group that resemble the whole in parts and labels, drawn anew alike from the same records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from training.datasets.record import DatasetError, Record


def hold_out(
    records: Sequence[Record], share: float, seed: int, tries: int = 2000
) -> tuple[tuple[Record, ...], tuple[Record, ...]]:
    """Split ``records`` by group into the rest and a held-out ``share`` (0 to 1).

    Of ``tries`` random draws of groups the one whose counts by part and label come nearest to
    ``share`` of the whole is taken; the same seed gives the same fold.
    """
    groups = sorted({record.group for record in records})
    kinds = sorted({_kind(record) for record in records})
    counts = np.zeros((len(groups), len(kinds)))
    at = {group: row for row, group in enumerate(groups)}
    for (group, kind), count in Counter((record.group, _kind(record)) for record in records).items():
        counts[at[group], kinds.index(kind)] = count
    wanted = counts.sum(0) * share
    generator = np.random.default_rng(seed)
    best, chosen = np.inf, np.zeros(len(groups), bool)
    for _ in range(tries):
        order = generator.permutation(len(groups))
        total = counts[order].sum(1).cumsum()
        mask = np.zeros(len(groups), bool)
        mask[order[: int(np.searchsorted(total, counts.sum() * share)) + 1]] = True
        # Squared misses in units of their own spread: small parts weigh as much as large ones.
        miss = float((((counts[mask].sum(0) - wanted) ** 2) / (wanted + 1)).sum())
        if miss < best:
            best, chosen = miss, mask
    held = {group for group, taken in zip(groups, chosen, strict=True) if taken}
    return (
        tuple(record for record in records if record.group not in held),
        tuple(record for record in records if record.group in held),
    )


def draw_folds(
    records: Sequence[Record], first: Sequence[Record], count: int, seed: int
) -> tuple[tuple[Record, ...], ...]:
    """All ``records`` in ``count`` folds by group, ``first`` among them as the first one.

    A group that holds more than its share of the pictures, ``1 / count``, is a fold alone. Of the rest one
    fold after the other is held out (``hold_out``), with ``seed`` and the seeds that follow it. Raises
    ``DatasetError`` if the groups do not make that many folds.
    """
    folds = [tuple(first)]
    taken = {record.group for record in first}
    sizes = Counter(record.group for record in records if record.group not in taken)
    large = sorted(group for group, size in sizes.items() if size * count > len(records))
    folds += [tuple(record for record in records if record.group == group) for group in large]
    rest = tuple(record for record in records if record.group not in taken | set(large))
    left = count - len(folds)
    if left < 1 or len(sizes) - len(large) < left:
        raise DatasetError(f"{len(sizes) + len(taken)} groups are too few, or too large, for {count} folds.")
    for share in range(left, 2, -1):
        rest, held = hold_out(rest, 1 / share, seed)
        folds.append(held)
        seed += 1
    return (*folds, *(hold_out(rest, 1 / 2, seed) if left > 1 else (rest,)))


def _kind(record: Record) -> tuple[str, bool]:
    return (record.body_part or "", record.abnormal)
