"""A gate for pipelines: whether findings hold a regression, an open question or a test too weak to answer one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from upbringing.attribution.words.margin_words import named_margin
from upbringing.base.errors import FormatError, StudyError
from upbringing.formats.findings import Claim, Findings, read_findings

Rule = Literal["regression", "undecided", "underpowered"]
Reach = Literal["primary", "any"]
RULES: tuple[Rule, ...] = get_args(Rule)
FAILED_EXIT_CODE = 11  # no error of the program has it: a pipeline can tell "worse" from "broken"
UNDECIDED_VERDICTS = (None, "inconclusive", "not-measurable", "blocked")
# Claims of these kinds compare effects, doses, judges or formats: neither side is a model that got worse.
KINDS_WITHOUT_DIRECTION = (
    "interaction",
    "higher-interaction",
    "difference-in-differences",
    "linear-trend",
    "quadratic-trend",
    "judge-sensitivity",
    "format-sensitivity",
)
BLIND = {
    "regression": "lack a number, a margin or a side that is worse",
    "underpowered": "lack a margin or a detectable change",
}


@dataclass(frozen=True)
class Failure:
    """A claim that fails a rule, and why."""

    rule: Rule
    claim: Claim
    reason: str


@dataclass(frozen=True)
class GateResult:
    """What a gate found. ``claims``: how many were asked; ``notes``: what it could not judge and did not fail."""

    fail_on: tuple[Rule, ...]
    claims: int
    failures: tuple[Failure, ...]
    notes: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether no claim failed any rule."""
        return not self.failures


def gate(
    findings: Findings | Path | str,
    *,
    fail_on: Sequence[Rule] = RULES,
    measures: Sequence[str] = (),
    claims: Reach = "primary",
) -> GateResult:
    """Return which claims of ``findings`` (a value, ``findings.json`` or its folder) fail the rules in ``fail_on``.

    ``regression``: the change for the worse lies beyond the margin (one-sided 5%: the claim is not non-inferior).
    ``undecided``: the verdict is inconclusive, not measurable or blocked, or a change for the worse may or may not
    exceed the margin. ``underpowered``: the smallest change found with 80% power is larger than the margin, whatever
    the verdict: such a test exaggerates what it finds. ``measures``: only claims on these; ``claims="any"``:
    exploratory ones too. Raises ``StudyError`` where nothing asked can be judged: that is never a pass.
    """
    rules = _rules(fail_on)
    chosen = _chosen(_read(findings), tuple(measures), claims)
    failures = tuple(failure for claim in chosen for failure in _failures(claim, rules))
    if not failures:
        _require_judged(chosen, rules)
    blind = [claim for claim in chosen if not _can_regress(claim)]
    notes = (f"{len(blind)} of {len(chosen)} claims {BLIND['regression']}: {_listed(blind)}",) if blind else ()
    return GateResult(rules, len(chosen), failures, notes if "regression" in rules else ())


def _require_judged(claims: Sequence[Claim], rules: Sequence[Rule]) -> None:
    """Raise ``StudyError`` where a rule that was asked for could not judge a single claim."""
    if "regression" in rules and not any(_can_regress(claim) for claim in claims):
        raise StudyError(f"all {len(claims)} claims {BLIND['regression']}, so no regression could have been found")
    if "underpowered" in rules and all(_power(claim) is None for claim in claims):
        raise StudyError(f"all {len(claims)} claims {BLIND['underpowered']}, so nothing is known of their power")


def _read(findings: Findings | Path | str) -> Findings:
    if isinstance(findings, Findings):
        return findings
    path = Path(findings)
    path = path / "findings.json" if path.is_dir() else path
    if not path.is_file():
        raise FormatError(f"there is no {path}: run upbringing attribute first, then gate its findings.json")
    return read_findings(path)


def _rules(fail_on: Sequence[Rule]) -> tuple[Rule, ...]:
    unknown = [rule for rule in fail_on if rule not in RULES]
    if unknown or not fail_on:
        raise StudyError(f"a gate fails on {', '.join(RULES)}; found {', '.join(unknown) or 'nothing'}")
    return tuple(rule for rule in RULES if rule in fail_on)


def _chosen(findings: Findings, measures: tuple[str, ...], reach: Reach) -> list[Claim]:
    """Return the claims asked for; raises ``StudyError`` for a measure without one, or without any at all."""
    asked = [
        claim for claim in findings.claims if claim.kind != "level" and (reach == "any" or claim.role == "primary")
    ]
    if not asked:
        wanted = "declare primary measures, and arms or contrasts that ask for them"
        what = f"no primary claim: {wanted}" if reach == "primary" else "no claim"
        hint = ", or gate every claim (--claims any)" if reach == "primary" and findings.claims else ""
        raise StudyError(f"the findings hold {what}{hint}; a gate over nothing is no pass")
    known = list(dict.fromkeys(claim.measure for claim in asked))
    absent = [measure for measure in measures if measure not in known]
    if absent:
        raise StudyError(f"no {reach} claim is about {', '.join(absent)}; there are claims about {', '.join(known)}")
    return [claim for claim in asked if not measures or claim.measure in measures]


def _failures(claim: Claim, rules: Sequence[Rule]) -> Iterable[Failure]:
    if "regression" in rules and claim.noninferior == "no" and _can_regress(claim):
        yield Failure("regression", claim, f"it changed for the worse by more than {named_margin(claim)}")
    if "undecided" in rules and (why := _open_question(claim)):
        yield Failure("undecided", claim, why)
    power = _power(claim)
    if "underpowered" in rules and power is not None and power[0] > power[1]:
        yield Failure(
            "underpowered", claim, f"only a change of {power[0]:.3g} would be found, the margin is {power[1]:.3g}"
        )


def _open_question(claim: Claim) -> str:
    """Return what about the claim is open; empty where it is decided."""
    if claim.verdict in UNDECIDED_VERDICTS:
        reason = f": {claim.blocked_by[0]}" if claim.blocked_by else ""
        return f"its verdict is {(claim.verdict or 'inconclusive').replace('-', ' ')}{reason}"
    if not _has_direction(claim):
        return ""
    if claim.noninferior == "undecided":
        return "it may have changed for the worse by more than its margin"
    if claim.noninferior is None and claim.verdict == "changed":
        return "it changed, and without a margin and a better side nobody can tell whether for the worse"
    return ""


def _can_regress(claim: Claim) -> bool:
    return _has_direction(claim) and claim.noninferior is not None


def _has_direction(claim: Claim) -> bool:
    """Return whether the claim is the difference of two averages, so that one side can be worse than the other."""
    risen = sum(weight for weight in claim.weights.values() if weight > 0)
    return claim.kind not in KINDS_WITHOUT_DIRECTION and (not claim.weights or abs(risen - 1) < 1e-9)


def _power(claim: Claim) -> tuple[float, float] | None:
    """Return (smallest change found, margin) where both are known."""
    if claim.minimum_detectable is None or claim.margin is None:
        return None
    return claim.minimum_detectable, claim.margin


def _listed(claims: Sequence[Claim]) -> str:
    names = [claim.id for claim in claims[:3]]
    return ", ".join(names) + (f" and {len(claims) - 3} more" if len(claims) > 3 else "")
