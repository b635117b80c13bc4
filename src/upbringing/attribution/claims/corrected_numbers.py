"""What human labels change on a claim: the corrected number decides, or it is said why there is none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from upbringing.attribution.claims.verdicts import numbers
from upbringing.attribution.judges.corrected import Corrected
from upbringing.attribution.judges.corrections import LANGUAGE_MODEL, Uncorrected
from upbringing.attribution.words.judge_sentences import DECIDED
from upbringing.attribution.words.sentences import NO_LABELS, UNEVEN, UNEVEN_BAND, UNSHOWN
from upbringing.formats.findings import Corrected as CorrectedNumber
from upbringing.formats.tree import ContrastSpec

DECIDES = ("verdict", "margin", "bounds", "beyond_margin", "equivalence_radius", "noninferior")
UNDECIDED = ("beyond_margin", "noninferior", "dominance", "dominance_reason")  # of a claim that something blocks


def corrected_numbers(spec: ContrastSpec, corrected: Corrected, direction: str, *, significant: bool) -> dict[str, Any]:
    """Return the fields of a claim that the corrected number decides, and that number."""
    found = numbers(spec, corrected.found, {}, direction, significant=significant)
    number = CorrectedNumber(
        **{name: found[name] for name in ("estimate", "low", "high", "df", "spread", "p", "bounds", "verdict")},
        method=f"prediction-powered (labelled included), {found['method']}",
        power=corrected.power,
        labels=corrected.num_labels,
        seeds=corrected.found.units.num_seeds,
    )
    return {**{name: found[name] for name in DECIDES}, "corrected": number, "calibration": "corrected"}


def uncorrected_numbers(
    judged: Mapping[str, Any], spec: ContrastSpec, why: Uncorrected, kind: str | None
) -> dict[str, Any]:
    """Return the fields of a claim whose judge has labels that do not correct it. ``judged``: its own numbers.

    Where the judge is shown to err unevenly nothing is decided, and nothing by a language model whose errors no labels
    show on every cell (as without any labels); else the verdict is the judge's, and that is said.
    """
    update: dict[str, Any] = {"uncorrected": why.reason, "calibration": "uncorrected"}
    allows = judged.get("error_gap") is not None  # the interval is the band
    if why.gap is not None and not allows and judged["low"] is not None and judged["scale"] == "natural":
        reach = why.gap.reach(list(spec.weights.values()) or [1.0])  # two formats of one cell have no weights
        update["judge_band"] = {"low": judged["low"] - reach, "high": judged["high"] + reach, "gap": why.gap.largest}
    if why.is_uneven:
        update |= _blocked(judged, _uneven(why.reason, update.get("judge_band")))
    elif kind == LANGUAGE_MODEL and not why.is_tested:
        update |= _blocked(judged, UNSHOWN.format(reason=why.reason))
    return update


def uncalibrated_numbers(judged: Mapping[str, Any], judge: str, kind: str | None) -> dict[str, Any]:
    """Return the fields of a claim whose judge can err and has no labels at all. ``judged``: its own numbers.

    A language model may err more on one checkpoint than on another, and nothing here would show it: its word alone
    decides nothing. What a rule says decides where it stands within the gap of errors that is assumed (``error_gap``).
    """
    update: dict[str, Any] = {"calibration": "uncalibrated"}
    if kind == LANGUAGE_MODEL:
        update |= _blocked(judged, NO_LABELS.format(judge=judge))
    return update


def _blocked(judged: Mapping[str, Any], reason: str) -> dict[str, Any]:
    """Return the fields of a claim that decides nothing, neither by itself nor in a protocol."""
    update: dict[str, Any] = {"blocked_by": (reason,), **dict.fromkeys(UNDECIDED)}
    if judged["verdict"] in DECIDED:
        update["verdict"] = "inconclusive"
    return update


def _uneven(reason: str, band: Mapping[str, float] | None) -> str:
    text = UNEVEN.format(reason=reason)
    return text if band is None else text + UNEVEN_BAND.format(**band)
