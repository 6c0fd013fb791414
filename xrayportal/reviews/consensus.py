"""The consensus: the rule that makes one verdict of a study's reviews. A pure function, no database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

ADJUDICATION = "adjudication"


class Opinion(Protocol):
    """What the rule needs of a review."""

    @property
    def reader_id(self) -> int: ...
    @property
    def kind(self) -> str: ...
    @property
    def verdict(self) -> str: ...
    @property
    def body_part(self) -> str: ...
    @property
    def was_blind(self) -> bool: ...
    @property
    def is_signed(self) -> bool: ...


@dataclass(frozen=True)
class ConsensusValues:
    """A study's consensus, in the columns of ``Consensus``.

    ``state`` is a code of ``Consensus.State``; a verdict that is open is empty.
    """

    state: str = "open"
    verdict: str = ""
    blind_verdict: str = ""
    body_part: str = ""
    readers: int = 0
    changes: int = 0


def derive_consensus(opinions: Iterable[Opinion]) -> ConsensusValues:
    """Derive a study's consensus from all its reviews, oldest first, superseded ones included.

    A signed adjudication decides. Otherwise signed readers who agree do, one reader being enough; signed
    readers who differ leave the study open. Drafts never count.

    The blind verdict goes by the last opinion that each reader who signed had stored before the prediction
    was revealed to them, so that no change of mind enters it. Where those opinions agree, the verdict is
    theirs, whatever a later adjudication says: only a changed mind may have brought the case to a third
    reader. It is empty where there is no such opinion, or they differ without a blind adjudication.
    """
    chains: dict[tuple[int, bool], list[Opinion]] = {}
    for opinion in opinions:
        chains.setdefault((opinion.reader_id, opinion.kind == ADJUDICATION), []).append(opinion)
    signed = {key: chain for key, chain in chains.items() if chain[-1].is_signed}
    readings = [chain for (_, adjudicates), chain in signed.items() if not adjudicates]
    adjudications = [chain for (_, adjudicates), chain in signed.items() if adjudicates]

    final = [chain[-1] for chain in readings]
    final_adjudication = adjudications[-1][-1] if adjudications else None
    blind = [last for chain in readings if (last := _last_blind(chain))]
    blind_adjudication = _last_blind(adjudications[-1]) if adjudications else None

    verdict = final_adjudication.verdict if final_adjudication else _common(final)
    blind_verdict = _common(blind) or (blind_adjudication.verdict if blind and blind_adjudication else "")
    if final_adjudication:
        state = "adjudicated"
    elif not final:
        state = "open"
    else:
        state = "agreed" if verdict else "disagreed"
    deciding = [final_adjudication] if final_adjudication else final
    body_parts = {opinion.body_part for opinion in deciding if opinion.body_part}
    return ConsensusValues(
        state=state,
        verdict=verdict,
        blind_verdict=blind_verdict,
        body_part=body_parts.pop() if len(body_parts) == 1 else "",
        readers=len(readings),
        changes=sum(
            1
            for chain in readings
            if (before := _last_blind(chain)) is not None and before.verdict != chain[-1].verdict
        ),
    )


def _last_blind(chain: Sequence[Opinion]) -> Opinion | None:
    return next((opinion for opinion in reversed(chain) if opinion.was_blind), None)


def _common(opinions: Sequence[Opinion]) -> str:
    """The verdict that all opinions share; empty where they differ, or there is no opinion."""
    verdicts = {opinion.verdict for opinion in opinions}
    return verdicts.pop() if len(verdicts) == 1 else ""
