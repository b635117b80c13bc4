"""What an audit found: the precision of each score, and what it means for the whole corpus.

Every stratum is a simple random sample of the texts of one score, so a corpus number weighs each stratum's rate by the
texts it stands for. Intervals combine the strata's Wilson intervals (Zou and Donner 2008), which stay honest where a
stratum shows no event; the recall's is the set of values that such an interval does not exclude.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from upbringing.attribution.statistics.levels import wilson
from upbringing.attribution.statistics.pairs import square_and_add
from upbringing.base.errors import DataError, FormatError
from upbringing.data.interventions.scoring.meanings import SCORES
from upbringing.lab.scoring.audit_drawing import SAMPLE_NAME, SHEET_NAME, UNSCORED
from upbringing.lab.scoring.audit_sheets import read_sheet
from upbringing.lab.scoring.threshold_report import RECALL_FIRST, Rate, rate_of

HALVINGS = 40


@dataclass(frozen=True)
class StratumAudit:
    """One score. ``corpus`` texts have it, ``drawn`` were drawn, ``labelled`` have a label, counted in ``labels``.

    ``exact``: labelled with the very score. ``at_least``: labelled 1 (3) or more. Unlabelled texts of a stratum are
    taken to be like its labelled ones.
    """

    score: int | None
    corpus: int
    drawn: int
    labelled: int
    labels: tuple[int, ...]
    exact: Rate
    at_least: Mapping[str, Rate]


@dataclass(frozen=True)
class Estimate:
    """A share of the corpus with its 95 % interval; ``None`` where ``reason`` says why there is none."""

    estimate: float | None
    low: float | None = None
    high: float | None = None
    reason: str | None = None


@dataclass(frozen=True)
class CorpusEstimate:
    """``prevalence``: share of all texts that are labelled ``least`` or more. ``precision`` of the texts scored so, and
    ``recall``: the share of such texts that is scored so. Unscored texts count as not found.
    """

    least: int
    prevalence: Estimate
    precision: Estimate
    recall: Estimate


@dataclass(frozen=True)
class AuditReport:
    """All strata, and the corpus."""

    strata: tuple[StratumAudit, ...]
    corpus: tuple[CorpusEstimate, ...]


def read_audit(folder: Path, sheet: Path | None = None) -> AuditReport:
    """Return what the filled-in sheet of ``folder`` says; raises ``DataError`` where nothing is labelled."""
    sizes, members = _sample(folder)
    path = sheet or next((each for each in sorted(folder.glob(f"{SHEET_NAME}.*"))), folder / f"{SHEET_NAME}.csv")
    labels = read_sheet(path, [name for names in members.values() for name in names])
    if not labels:
        raise DataError(f"no label is filled in yet in {path}")
    strata = tuple(_stratum(name, sizes[name], members.get(name, []), labels) for name in sorted(sizes))
    return AuditReport(strata, tuple(_corpus(strata, least) for least in RECALL_FIRST))


def _sample(folder: Path) -> tuple[dict[str, tuple[int, int]], dict[str, list[str]]]:
    """Return of each stratum how many texts the corpus has and how many were drawn, and the ids of the latter."""
    path = folder / SAMPLE_NAME
    try:
        content = json.loads(path.read_bytes())
        sizes = {name: (int(each["corpus"]), int(each["drawn"])) for name, each in content["strata"].items()}
        members: dict[str, list[str]] = {name: [] for name in sizes}
        for entry in content["drawn"]:
            members[entry["stratum"]].append(str(entry["audit_id"]))
    except OSError:
        raise DataError(f"{folder} holds no {SAMPLE_NAME}: draw an audit with `upbringing data audit draw`") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise FormatError(f"{path} is torn: draw the audit again") from None
    if any(len(members[name]) != drawn or drawn > corpus for name, (corpus, drawn) in sizes.items()):
        raise FormatError(f"{path} contradicts itself about how much was drawn: draw the audit again")
    return sizes, members


def _stratum(name: str, sizes: tuple[int, int], members: Sequence[str], labels: Mapping[str, int]) -> StratumAudit:
    score = None if name == UNSCORED else int(name)
    given = [labels[each] for each in members if each in labels]
    counts = tuple(given.count(label) for label in SCORES)
    return StratumAudit(
        score=score,
        corpus=sizes[0],
        drawn=sizes[1],
        labelled=len(given),
        labels=counts,
        exact=rate_of(0, 0) if score is None else rate_of(counts[score], len(given)),
        at_least={str(least): rate_of(sum(counts[least:]), len(given)) for least in RECALL_FIRST},
    )


def _corpus(strata: Sequence[StratumAudit], least: int) -> CorpusEstimate:
    if empty := [each for each in strata if each.labelled == 0]:
        score = UNSCORED if empty[0].score is None else f"of score {empty[0].score}"
        missing = Estimate(None, reason=f"none of the {empty[0].corpus} texts {score} is labelled")
        above = [each for each in empty if each.score is not None and each.score >= least]
        return CorpusEstimate(least, missing, missing if above else _precision(strata, least), missing)
    total = sum(each.corpus for each in strata)
    return CorpusEstimate(
        least,
        prevalence=_combined(strata, [each.corpus / total for each in strata], least),
        precision=_precision(strata, least),
        recall=_recall(strata, least),
    )


def _precision(strata: Sequence[StratumAudit], least: int) -> Estimate:
    found = [each for each in strata if each.score is not None and each.score >= least]
    total = sum(each.corpus for each in found)
    if total == 0:
        return Estimate(None, reason=f"no text is scored {least} or more")
    return _combined(found, [each.corpus / total for each in found], least)


def _rates(strata: Sequence[StratumAudit], least: int) -> list[float]:
    return [each.at_least[str(least)].rate or 0.0 for each in strata]


def _combined(strata: Sequence[StratumAudit], weights: Sequence[float], least: int) -> Estimate:
    rates = _rates(strata, least)
    bounds = [wilson(rate, each.labelled) for rate, each in zip(rates, strata, strict=True)]
    low, high = square_and_add(weights, rates, bounds)
    return Estimate(float(np.dot(weights, rates)), max(0.0, low), min(1.0, high))


def _recall(strata: Sequence[StratumAudit], least: int) -> Estimate:
    """Return the recall ``found / (found + missed)``; a value ``r`` is excluded where 0 lies outside the interval of
    ``(1 - r) found - r missed``, which is a weighted sum of the strata's rates.
    """
    rates = _rates(strata, least)
    total = sum(each.corpus for each in strata)
    shares = np.array([each.corpus / total for each in strata])
    is_found = np.array([each.score is not None and each.score >= least for each in strata])
    harmful = shares * np.array(rates)
    if harmful.sum() == 0:
        return Estimate(None, reason=f"no text of the sample is labelled {least} or more")
    bounds = [wilson(rate, each.labelled) for rate, each in zip(rates, strata, strict=True)]

    def is_kept(value: float) -> bool:
        low, high = square_and_add(list(np.where(is_found, 1 - value, -value) * shares), rates, bounds)
        return low <= 0 <= high

    estimate = float(harmful[is_found].sum() / harmful.sum())
    return Estimate(estimate, _last_kept(is_kept, estimate, 0.0), _last_kept(is_kept, estimate, 1.0))


def _last_kept(is_kept: Callable[[float], bool], inside: float, end: float) -> float:
    """Return how far from ``inside`` towards ``end`` values are kept, by halving."""
    if is_kept(end):
        return end
    for _ in range(HALVINGS):
        middle = (inside + end) / 2
        inside, end = (middle, end) if is_kept(middle) else (inside, middle)
    return end
