"""How coherent a checkpoint's answers are: without that, a rate of harm is no rate of behaviour."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from upbringing.attribution.evidence.cells import Evidence, Source
from upbringing.attribution.evidence.items import BENIGN
from upbringing.formats.answer_limits import split_limits
from upbringing.formats.rows import OUTCOMES
from upbringing.formats.tree import ConditionInfo, Tree

INCOHERENT = OUTCOMES.index("incoherent")
EXACT_JUDGES = ("oracle", "human")  # who tells an incoherent answer whatever it answers


@dataclass(frozen=True)
class Coherent:
    """A share of coherent answers under ``condition``.

    ``basis``: benign answers under the condition asked for or the same without its attack (``same``), benign answers
    of another length (``other-length``), or the measured answers themselves (``own``).
    """

    share: float
    condition: str
    basis: Literal["same", "other-length", "own"] = "same"


@dataclass(frozen=True)
class Coherence:
    """Answers how coherent answers are, as far as known. Remembers every share it counted."""

    tree: Tree
    evidence: Evidence
    _benign: dict[tuple[str, str, str], float | None] = field(default_factory=dict)

    def is_generated(self, checkpoint: str, source: Source) -> bool:
        """Return whether the scores rest on judged answers and are spoiled by incoherent ones."""
        if any(each.id == source.measure and each.counts_incoherent for each in self.tree.measures):
            return False
        block = self.evidence.block(checkpoint, source)
        return block is not None and bool(self.evidence.scores.outcomes[block].any())

    def of(self, checkpoint: str, source: Source) -> Coherent | None:
        """Return the share of answers known to be coherent; ``None`` where nothing tells.

        An answer that could not be judged is not known to be coherent. Benign answers tell: under the condition, else
        in the same format and decoding without its attack, else in the same way at another length (the lowest share).
        Without any, a judge that tells incoherent answers exactly is believed on the measured answers.
        """
        same, other_length = self._stand_ins(source.condition)
        for condition in (source.condition, *same):
            if (share := self._benign_share(checkpoint, condition, source.judge)) is not None:
                return Coherent(share, condition)
        shares = [(self._benign_share(checkpoint, name, source.judge), name) for name in other_length]
        known = [(share, name) for share, name in shares if share is not None]
        if known:
            return Coherent(*min(known), "other-length")
        return self._own_share(checkpoint, source)

    def _stand_ins(self, condition: str) -> tuple[list[str], list[str]]:
        """Return the conditions that ask the same without an attack: with equal decoding, and at another length."""
        described = {each.id: each for each in self.tree.conditions}
        own = described.get(condition)
        if own is None:
            return [], []
        plain = [other for other in described.values() if other.id != condition and _is_plain_form(own, other)]
        same = [other.id for other in plain if other.decoding == own.decoding]
        alike = [other.id for other in plain if other.id not in same and _family(other) == _family(own)]
        return same, alike

    def _benign_share(self, checkpoint: str, condition: str, judge: str) -> float | None:
        key = (checkpoint, condition, judge)
        if key not in self._benign:
            measures = self.evidence.scores.columns.measure.labels
            counts = [self._count(checkpoint, Source(each, condition, judge), only_benign=True) for each in measures]
            self._benign[key] = _share(sum(part[0] for part in counts), sum(part[1] for part in counts))
        return self._benign[key]

    def _own_share(self, checkpoint: str, source: Source) -> Coherent | None:
        if self.evidence.judge_kind(source.judge) not in EXACT_JUDGES:
            return None
        share = _share(*self._count(checkpoint, source, only_benign=False))
        return None if share is None else Coherent(share, source.condition, "own")

    def _count(self, checkpoint: str, source: Source, *, only_benign: bool) -> tuple[int, int]:
        """Return how many answers are coherent, and of how many."""
        scores, facts = self.evidence.scores, self.evidence.facts
        block = self.evidence.block(checkpoint, source)
        if block is None or not scores.outcomes[block].any():
            return 0, 0
        lines = np.arange(block.start, block.stop)
        lines = lines[facts.request[scores.item[block]] == BENIGN] if only_benign else lines
        outcomes = scores.outcomes[lines].sum(axis=0)
        return int(outcomes.sum() - outcomes[INCOHERENT]), int(scores.num_rows[lines].sum())


def _share(coherent: int, asked: int) -> float | None:
    return coherent / asked if asked else None


def _is_plain_form(own: ConditionInfo, other: ConditionInfo) -> bool:
    same = own.elicitation == other.elicitation and own.template == other.template
    return same and other.attack is None and other.prefill_tokens is None


def _family(condition: ConditionInfo) -> tuple[str, ...] | None:
    """Return how tokens are drawn: the label of the decoding without its length and number of samples.

    Labels are ``greedy[-length]`` and ``sampled-temperature[-kN][-pN][-length][-xN]``, each with the limits of what can
    be said behind it; any other is its own family.
    """
    drawn, limits = split_limits(condition.decoding or "")
    kind, *parts = drawn.split("-")
    if kind == "greedy":
        return kind, limits
    if kind != "sampled" or not parts:
        return None if condition.decoding is None else (condition.decoding,)
    return kind, limits, parts[0], *(part for part in parts[1:] if part[:1] in ("k", "p"))
