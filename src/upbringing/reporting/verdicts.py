"""The first screen: the verdicts in plain words, how strong the evidence is, and what is missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from upbringing.formats.findings import Claim, Conclusion
from upbringing.formats.tree import Tree
from upbringing.reporting.claim_facts import Fact
from upbringing.reporting.differences import ClaimView, Group
from upbringing.reporting.inputs import Inputs
from upbringing.reporting.words import ESTIMANDS, LEVEL_ORDER, LEVELS, count, several

MAX_WITHOUT_PRIMARY = 3  # nothing was declared: show few, or they would read like results
MAX_GATES = 2  # on the first screen; the checks list all of them
CONTROLS = {
    "reference": "arms have nothing agreed to be compared with",
    "placebo": "an effect of the data cannot be told from an effect of training longer",
    "copy": "nothing shows that nothing is found where nothing is",
    "positive": "where arms come out alike, nothing shows that the measure can move",
}


@dataclass(frozen=True)
class Headline:
    """A measure with its claims: the first in large type, the rest below."""

    measure: str
    hero: ClaimView
    rest: tuple[ClaimView, ...]


@dataclass(frozen=True)
class Control:
    """A kind of control, the arms that are one, and what its absence forbids."""

    kind: str
    arms: tuple[str, ...]
    without: str


@dataclass(frozen=True)
class FirstScreen:
    """Everything above the fold. ``is_declared``: the claims shown are primary.

    ``places``: condition and split of claims, by id, whose sentence another one shares word for word.
    """

    headlines: tuple[Headline, ...]
    places: Mapping[str, str]
    conclusions: tuple[Conclusion, ...]
    is_declared: bool
    strength: tuple[Fact, ...]
    missing: tuple[str, ...]


def first_screen(inputs: Inputs, groups: Sequence[Group]) -> FirstScreen:
    """Return the verdicts of the primary measures, else the few strongest claims."""
    views = {view.id: view for group in groups for view in group.claims}
    claims = [claim for claim in inputs.findings.claims if claim.id in views]
    primary = [claim for claim in claims if claim.role == "primary"]
    chosen = primary or sorted(claims, key=_strength_of, reverse=True)[:MAX_WITHOUT_PRIMARY]
    by_measure: dict[str, list[ClaimView]] = {}
    for claim in chosen:
        by_measure.setdefault(inputs.label(claim.measure), []).append(views[claim.id])
    return FirstScreen(
        headlines=tuple(Headline(name, found[0], tuple(found[1:])) for name, found in by_measure.items()),
        places=_places(groups, [view for found in by_measure.values() for view in found]),
        conclusions=inputs.findings.conclusions,
        is_declared=bool(primary),
        strength=tuple(_strength(inputs, chosen)),
        missing=tuple(_missing(inputs, chosen)),
    )


def _places(groups: Sequence[Group], shown: Sequence[ClaimView]) -> dict[str, str]:
    times = Counter(view.sentence for view in shown)
    places = {view.id: group.place for group in groups for view in group.claims}
    return {view.id: places[view.id] for view in shown if times[view.sentence] > 1 and places[view.id]}


def _strength_of(claim: Claim) -> int:
    return LEVEL_ORDER.index(claim.level)


def size_of(tree: Tree) -> str:
    """Return how large the study is, in one line."""
    arms = {cell.arm for cell in tree.cells}
    seeds: dict[str, set[str]] = {}
    for cell in tree.cells:
        seeds.setdefault(cell.name, set()).add(cell.checkpoint)
    most = max((len(checkpoints) for checkpoints in seeds.values()), default=1)
    parts = (
        several(len(tree.checkpoints), "checkpoint"),
        several(len(arms), "arm") if arms else "",
        several(most, "seed"),
        several(len(tree.items), "question") if tree.items else "",
    )
    return " · ".join(filter(None, parts))


def _strength(inputs: Inputs, claims: Sequence[Claim]) -> Iterable[Fact]:
    if not claims:
        return
    levels = sorted({claim.level for claim in claims}, key=LEVEL_ORDER.index)
    strongest = levels[-1]
    yield Fact("Evidence", f"up to {strongest}: {LEVELS[strongest]}")
    yield Fact("Verdicts are about", "; ".join(dict.fromkeys(ESTIMANDS[claim.estimand] for claim in claims)))
    given = tuple(dict.fromkeys(each for claim in claims for each in claim.conditional_on))
    if given:
        yield Fact("Given", ", ".join(given))
    units = [claim.units for claim in claims]
    seeds, roots = [unit.seeds for unit in units], [unit.roots for unit in units]
    yield Fact("Independent runs", f"{_spanned(seeds, 'seed')}, {_spanned(roots, 'root')}")
    if any(unit.worlds for unit in units):
        yield Fact("Worlds", _span([unit.worlds for unit in units]))
    yield Fact("Questions", _span([unit.items for unit in units]))
    judges = tuple(dict.fromkeys(claim.judge for claim in claims if claim.judge and claim.judge != "none"))
    if judges:
        yield Fact("Judge", ", ".join(judges))
    yield Fact("Margins and primary measures fixed", _registered(inputs))


def _registered(inputs: Inputs) -> str:
    registered = inputs.tree.study.registered
    if registered.sha256 is None:
        return "no registration"
    times = {True: "before the first answer", False: "after answers were seen", None: "when is not stated"}
    when = times[registered.before_first_row]
    return f"{when}, then amended {several(len(registered.amendments), 'time')}" if registered.amendments else when


def _span(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return count(low) if low == high else f"{count(low)}–{count(high)}"


def _spanned(numbers: Sequence[int], noun: str) -> str:
    return several(numbers[0], noun) if set(numbers) == {1} else f"{_span(numbers)} {noun}s"


def _missing(inputs: Inputs, chosen: Sequence[Claim]) -> Iterable[str]:
    """Return what a reader must know before citing: failed gates, then warnings, then absent controls."""
    found = _failed_gates(inputs.tree)
    found += [*inputs.findings.warnings, *inputs.tree.warnings]
    asked = {claim.measure for claim in chosen if claim.role == "primary"}
    unasked = [measure for measure in inputs.tree.study.primary if measure not in asked]
    if inputs.findings.claims and asked:
        found += [f"No primary claim is about {inputs.label(measure)}." for measure in unasked]
    blocked = sum(claim.verdict in ("blocked", "not-measurable") for claim in inputs.findings.claims)
    if blocked:
        found.append(f"{several(blocked, 'difference')} could not be measured; the reasons stand beside each.")
    if not inputs.findings.claims:
        found.append("There are no findings in this folder: run upbringing attribute on it.")
    elif not any(claim.role == "primary" for claim in chosen):
        found.append("No primary measure was declared: these are the strongest contrasts, found by looking.")
    if len({cell.arm for cell in inputs.tree.cells}) > 1:
        said = " ".join(inputs.tree.warnings).lower()
        absent = [control for control in controls_of(inputs.tree) if not control.arms and control.kind not in said]
        found += [f"No {control.kind} arm: {control.without}." for control in absent]
    return dict.fromkeys(found)


def _failed_gates(tree: Tree) -> list[str]:
    """Return a sentence per failed gate; where many failed, how many and the first few."""
    failed = list(dict.fromkeys(gate.sentence for gate in tree.gates if not gate.passed))
    sentences = [f"Gate failed: {sentence}" for sentence in failed[:MAX_GATES]]
    if len(failed) <= MAX_GATES:
        return sentences
    number = sum(not gate.passed for gate in tree.gates)
    whole = f"{count(number)} of {several(len(tree.gates), 'gate')} failed; what they guard is not measurable."
    return [whole, *sentences[:-1]]


def controls_of(tree: Tree) -> tuple[Control, ...]:
    """Return every kind of control with the arms that are one."""
    arms: dict[str, dict[str, None]] = {}
    for cell in tree.cells:
        arms.setdefault(cell.control, {})[cell.arm] = None
        if cell.control in ("none", "reference") and "placebo" in cell.state.values():  # what it is built with counts
            arms.setdefault("placebo", {})[cell.arm] = None
    return tuple(Control(kind, tuple(arms.get(kind, ())), without) for kind, without in CONTROLS.items())
