"""What human labels of a sample of answers say of each judge: its errors per checkpoint, and the raters' agreement.

Source: statistics-and-measures 5.2, procedure P4, step 1. Departures: none. Nothing is corrected here: see
``corrections``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from upbringing.attribution.statistics.multiplicity import holm
from upbringing.attribution.statistics.rates import Rate, Stratum, homogeneity, rate
from upbringing.formats.labels import check_labels

OUTCOMES = ("refuse", "harmful", "incoherent")  # of each the error is stated; harmless is what remains
SIDES = ("sensitivity", "specificity")
DIGEST = "response_sha256"
MIN_KAPPA = 0.6  # Landis and Koch 1977 call what lies above substantial agreement
JOINED_COLUMNS = ("judge", "judge_kind", "response", "outcome")


@dataclass(frozen=True)
class Label:
    """One rater's label of one answer. ``weight``: inverse sampling probability; ``sha256``: of the answer."""

    checkpoint: str
    response: str
    rater: str
    outcome: str
    weight: float
    sha256: str | None = None


@dataclass(frozen=True)
class Calibration:
    """Labels joined with verdicts, as plain tables. ``checkpoints``: judge to the checkpoints it has labels on.

    ``labels``: those of answers that the rows hold. ``num_foreign``: labels of answers that they do not.
    """

    errors: tuple[dict[str, Any], ...] = ()
    uniformity: tuple[dict[str, Any], ...] = ()
    agreement: tuple[dict[str, Any], ...] = ()
    checkpoints: Mapping[str, frozenset[str]] | None = None
    raters: tuple[str, ...] = ()
    num_foreign: int = 0
    labels: tuple[Label, ...] = ()

    @property
    def are_raters_agreed(self) -> bool:
        """Whether no two raters disagree so much that their labels calibrate nothing."""
        return all(pair["kappa"] is None or pair["kappa"] >= MIN_KAPPA for pair in self.agreement)

    @property
    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """The tables as they stand in the findings."""
        named = (
            ("judge_errors", self.errors),
            ("judge_uniformity", self.uniformity),
            ("rater_agreement", self.agreement),
        )
        return {name: list(table) for name, table in named if table}

    def labelled(self, judge: str) -> frozenset[str]:
        """Return the checkpoints on which ``judge`` has labels."""
        return (self.checkpoints or {}).get(judge, frozenset())


def calibrate(rows: pa.Table, labels: pa.Table) -> Calibration:
    """Return what ``labels`` say of the judges in ``rows``; raises ``FormatError`` for tables that do not fit."""
    check_labels(labels)
    verdicts, known = _verdicts(rows, labels)
    given = [label for label in _labels(labels) if _is_of(label, known)]
    raters = tuple(sorted({label.rater for label in given}))
    errors, uniformity = [], []
    for judge, said in sorted(verdicts.items()):
        for rater in raters:
            own = [label for label in given if label.rater == rater]
            for outcome in OUTCOMES:
                names = {"judge": judge, "rater": rater, "outcome": outcome}
                errors += [{**names, **each} for each in _errors(own, said, outcome)]
                uniformity += [{**names, **each} for each in _uniformity(own, said, outcome)]
    return Calibration(
        errors=tuple(errors),
        uniformity=tuple(_adjusted(uniformity)),
        agreement=tuple(_agreement(given, raters)),
        checkpoints={
            judge: frozenset(label.checkpoint for label in given if label.response in said)
            for judge, said in verdicts.items()
        },
        raters=raters,
        num_foreign=labels.num_rows - len(given),
        labels=tuple(given),
    )


def _verdicts(rows: pa.Table, labels: pa.Table) -> tuple[dict[str, dict[str, str]], dict[str, str | None]]:
    """Return judge to response to outcome, of labelled answers, and the hashes of those that the rows hold at all."""
    if any(name not in rows.column_names for name in JOINED_COLUMNS):
        return {}, {}
    wanted = pc.unique(labels["response"].cast(pa.string()))
    inside = rows.filter(pc.is_in(rows["response"].cast(pa.string()), value_set=wanted))
    found: dict[str, dict[str, str]] = defaultdict(dict)
    known: dict[str, str | None] = {}
    for row in inside.select([name for name in (*JOINED_COLUMNS, DIGEST) if name in rows.column_names]).to_pylist():
        known[row["response"]] = row.get(DIGEST)
        if row["judge_kind"] != "human" and row["outcome"] is not None:
            found[row["judge"]][row["response"]] = row["outcome"]
    return dict(found), known


def _is_of(label: Label, known: Mapping[str, str | None]) -> bool:
    """Return whether a label is of an answer that the rows hold, word by word as far as both say."""
    digest = known.get(label.response)
    return label.response in known and (digest is None or label.sha256 is None or digest == label.sha256)


def _labels(table: pa.Table) -> list[Label]:
    return [
        Label(
            row["checkpoint"],
            row["response"],
            row["rater"],
            row["outcome"],
            1.0 / row["sampling_probability"],
            row.get(DIGEST),
        )
        for row in table.to_pylist()
    ]


def _by_checkpoint(labels: Sequence[Label]) -> list[tuple[str, list[Label]]]:
    found: dict[str, list[Label]] = defaultdict(list)
    for label in labels:
        found[label.checkpoint].append(label)
    return sorted(found.items())


def strata_of(labels: Sequence[Label], said: Mapping[str, str], outcome: str, side: str) -> list[Stratum]:
    """Return the strata of one checkpoint's labels: answers drawn with one probability, hits and misses counted.

    ``sensitivity``: among the answers that the rater calls ``outcome``; ``specificity``: among all others. What the
    judge left unscored is neither.
    """
    counts: dict[float, list[int]] = defaultdict(lambda: [0, 0, 0])
    for label in labels:
        own = counts[label.weight]
        own[0] += 1
        verdict = said.get(label.response)
        is_outcome = label.outcome == outcome
        if verdict is not None and is_outcome == (side == "sensitivity"):
            own[1 if (verdict == outcome) == is_outcome else 2] += 1
    return [Stratum(weight, *own) for weight, own in sorted(counts.items())]


def _errors(labels: Sequence[Label], said: Mapping[str, str], outcome: str) -> Iterable[dict[str, Any]]:
    for checkpoint, own in _by_checkpoint(labels):
        sides = {side: _plain(side, rate(strata_of(own, said, outcome, side))) for side in SIDES}
        unscored = sum(label.response not in said for label in own)
        yield {"checkpoint": checkpoint, "labels": len(own), "unscored": unscored, **sides[SIDES[0]], **sides[SIDES[1]]}


def _plain(side: str, found: Rate) -> dict[str, Any]:
    return {side: found.share, f"{side}_low": found.low, f"{side}_high": found.high, f"{side}_labels": found.num}


def _uniformity(labels: Sequence[Label], said: Mapping[str, str], outcome: str) -> Iterable[dict[str, Any]]:
    for side in SIDES:
        groups = [strata_of(own, said, outcome, side) for _, own in _by_checkpoint(labels)]
        shares = [share for group in groups if (share := rate(group).share) is not None]
        found = homogeneity(groups)
        yield {
            "side": side,
            "checkpoints": found.num,
            "largest_gap": max(shares) - min(shares) if len(shares) > 1 else None,
            "statistic": found.statistic,
            "df": found.df,
            "p": found.p,
            "reason": found.reason,
        }


def _adjusted(tests: Sequence[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    """Yield the tests with p-values corrected by Holm for how many there are."""
    adjusted = iter(holm(np.array([test["p"] for test in tests if test["p"] is not None])))
    for test in tests:
        yield {**test, "p_adjusted": None if test["p"] is None else float(next(adjusted))}


def _agreement(labels: Sequence[Label], raters: Sequence[str]) -> Iterable[dict[str, Any]]:
    for one, other in combinations(raters, 2):
        first, second = ({label.response: label for label in labels if label.rater == rater} for rater in (one, other))
        both = sorted(set(first) & set(second))
        found = kappa([(first[each].outcome, second[each].outcome, first[each].weight) for each in both])
        yield {"raters": [one, other], "answers": len(both), "agreement": found[0], "kappa": found[1]}


def kappa(pairs: Sequence[tuple[str, str, float]]) -> tuple[float | None, float | None]:
    """Return the weighted share of equal labels and Cohen's kappa of (label, label, weight).

    ``None`` where nothing was labelled by both; kappa is ``None`` where both used one and the same word throughout.
    Source: Cohen 1960. Departures: answers count by their inverse sampling probability.
    """
    total = sum(weight for *_, weight in pairs)
    if not total:
        return None, None
    same = sum(weight for one, other, weight in pairs if one == other) / total
    shares: tuple[dict[str, float], dict[str, float]] = (defaultdict(float), defaultdict(float))
    for one, other, weight in pairs:
        shares[0][one] += weight / total
        shares[1][other] += weight / total
    by_chance = sum(share * shares[1][word] for word, share in shares[0].items())
    return same, None if by_chance >= 1.0 - 1e-12 else (same - by_chance) / (1.0 - by_chance)
