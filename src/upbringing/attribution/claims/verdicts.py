"""The numbers and the verdict of a claim, from its estimate and its margin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from upbringing.attribution.contrasts.estimates import Ends, Estimate
from upbringing.attribution.contrasts.profiles import Profile
from upbringing.attribution.contrasts.ratios import said_of
from upbringing.attribution.statistics.equivalence import (
    Answer,
    FourWay,
    beyond_margin,
    equivalence_radius,
    excludes_zero,
    is_equivalent,
    noninferior,
    verdict_given,
)
from upbringing.attribution.statistics.inference import CONFIDENCE, Inference
from upbringing.formats.findings import Flips
from upbringing.formats.tree import ContrastSpec


def numbers(
    spec: ContrastSpec, found: Estimate, by_judge: Mapping[str, Estimate], direction: str, *, significant: bool
) -> dict[str, Any]:
    """Return the fields of a claim that is measurable. ``significant``: it survives its family's correction."""
    natural = found.inference
    assert natural is not None
    inference = deciding(spec, found) or natural
    is_logit = inference is not natural
    margin = applicable_margin(spec, found)
    bounds = found.logit_bounds if is_logit else (found.lowest, found.highest)
    is_alike = is_within_margin(spec, found, inference, margin)
    verdict = verdict_of(found, inference, bounds, is_alike=is_alike, significant=significant)
    judges = [_judge_line(name, each, spec) for name, each in by_judge.items()]
    return {
        "estimate": inference.estimate,
        "low": inference.low,
        "high": inference.high,
        "df": inference.df,
        "spread": inference.spread,
        "p": inference.p,
        "method": inference.method,
        "scale": "logit" if is_logit else "natural",
        "other_scale": _other_scale(natural if is_logit else found.logit, "natural" if is_logit else "logit"),
        "verdict": verdict,
        "margin": margin,
        "bounds": _bounds(*bounds),
        "beyond_margin": _beyond(spec, found, inference, margin),
        "equivalence_radius": 0.0 if found.is_same_checkpoint else equivalence_radius(inference),
        "noninferior": _noninferior(spec, found, inference, margin, direction),
        "per_judge": tuple(judges),
        "judge_robust": _judge_robust(spec, found.as_judged or found, judges),
        "risk_ratio": said_of(spec, found),
        **_profile(found.profile),
    }


def deciding(spec: ContrastSpec, found: Estimate) -> Inference | None:
    """Return the inference on the scale that the contrast declared, as far as it exists on it."""
    return found.logit if spec.scale == "logit" and found.logit is not None else found.inference


def applicable_margin(spec: ContrastSpec, found: Estimate) -> float | None:
    """Return the margin; ``None`` of a contrast in log-odds that has none, for its margin says nothing of rates."""
    return spec.margin if is_on_scale(spec, found) or found.is_same_checkpoint else None


def is_on_scale(spec: ContrastSpec, found: Estimate) -> bool:
    """Return whether the estimate exists on the scale that the contrast declared."""
    return spec.scale != "logit" or found.logit is not None


def verdict_of(found: Estimate, inference: Inference, bounds: Ends, *, is_alike: bool, significant: bool) -> FourWay:
    """Return the four-way verdict; the sign of a change must hold within ``bounds``, for the unscored may move it."""
    if found.is_same_checkpoint:
        return "equivalent"
    verdict = verdict_given(inference, is_alike=is_alike, significant=significant)
    lowest, highest = bounds
    open_sign = lowest is not None and highest is not None and lowest <= 0 <= highest
    return "inconclusive" if verdict == "changed" and open_sign else verdict


def _bounds(lowest: float | None, highest: float | None) -> dict[str, float]:
    if lowest is None or highest is None or not lowest < highest:
        return {}
    return {"low": lowest, "high": highest}


def is_within_margin(spec: ContrastSpec, found: Estimate, inference: Inference, margin: float | None) -> bool:
    """Return whether both one-sided tests pass: of the ratio of rates where the claim is held against one."""
    if spec.ratio_margin is not None:
        return found.ratio is not None and found.ratio.is_within(spec.ratio_margin)
    return is_equivalent(inference, margin)


def _beyond(spec: ContrastSpec, found: Estimate, inference: Inference, margin: float | None) -> Answer | None:
    if spec.ratio_margin is not None and found.ratio is not None:
        return found.ratio.beyond(spec.ratio_margin)
    return beyond_margin(inference, margin)


def _noninferior(
    spec: ContrastSpec, found: Estimate, inference: Inference, margin: float | None, direction: str
) -> Answer | None:
    if direction == "neutral":
        return None
    if spec.ratio_margin is not None and found.ratio is not None:
        return found.ratio.noninferior(spec.ratio_margin)
    return noninferior(inference, margin, lower_is_better=direction.startswith("lower"))


def _other_scale(inference: Inference | None, scale: str) -> dict[str, Any]:
    if inference is None:
        return {}
    return {"scale": scale, "estimate": inference.estimate, "low": inference.low, "high": inference.high}


def _judge_line(name: str, found: Estimate, spec: ContrastSpec) -> dict[str, Any]:
    """Return what another judge makes of the claim, uncorrected: the sign and the interval are compared."""
    inference = deciding(spec, found)
    if inference is None:
        return {"judge": name, "estimate": None, "low": None, "high": None, "verdict": "not-measurable"}
    is_alike = is_within_margin(spec, found, inference, applicable_margin(spec, found))
    verdict = verdict_given(inference, is_alike=is_alike, significant=_is_significant(inference))
    return {
        "judge": name,
        "estimate": inference.estimate,
        "low": inference.low,
        "high": inference.high,
        "verdict": verdict,
        "unscored": found.unscored,
    }


def _is_significant(inference: Inference) -> bool:
    return inference.p is not None and inference.p <= 1 - CONFIDENCE


def _judge_robust(spec: ContrastSpec, found: Estimate, judges: list[dict[str, Any]]) -> bool | None:
    """Return whether every judge gives the same uncorrected verdict and sign; ``None`` with one judge only."""
    inference = deciding(spec, found)
    if not judges or inference is None:
        return None
    is_alike = is_within_margin(spec, found, inference, applicable_margin(spec, found))
    own = verdict_given(inference, is_alike=is_alike, significant=_is_significant(inference))
    has_sign = own in ("changed", "negligible") or excludes_zero(inference)
    for line in judges:
        if line["verdict"] != own:
            return False
        if has_sign and (line["estimate"] > 0) != (inference.estimate > 0):
            return False
    return True


def _profile(found: Profile | None) -> dict[str, Any]:
    if found is None:
        return {}
    rose, fell, kept = found.flips
    ratio = found.discordance / found.noise if found.discordance is not None and found.noise else None
    return {
        "flips": Flips(rose=rose, fell=fell, kept=kept),
        "noise_floor": found.noise,
        "discordance": found.discordance,
        "profile_ratio": ratio,
    }
