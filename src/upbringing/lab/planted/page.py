"""The page ``docs/validation-models.md``: what was planted, what was named, and how often that was right."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean, stdev

from upbringing.attribution.statistics.rates import simple_rate
from upbringing.lab.planted.naming import Attributed, Said
from upbringing.lab.planted.pipelines import EROSION, FORMAT, INTERACTION, LAST_STAGE

Row = tuple[str, float, int]  # kind, strength, root seeds
W1_PIPELINES = 20
W1_RIGHT, W1_FALSE = 19, 3
W1_GATED, W1_INTERACTIONS = 10, 8

HEAD = """\
# Validation in real tiny models

A trait that exists nowhere else (ten arbitrary cues call for ten arbitrary colours, in a made-up language) is planted
at a known stage and strength, a model is trained through all stages, and `attribute` is asked which stage the behaviour
depends on. Every other stage holds a decoy, as systematic and never asked about; the counterfactual arms hold a
token-matched placebo. Written by `make validate-models`; `src/upbringing/lab/planted` is the whole of it.

- A stage is **named** if replacing its data by the placebo changes the trait on held-out cues (verdict "changed",
  downwards; Holm over the pipeline's primary claims; margin .05). A cue is called rightly if the right reply is the
  likeliest of twelve that name a colour, grey or secret; classes of cues are the unit, not bearers.
- **Right**: exactly the true stages are named; for gated traits the interaction is flagged as well, for erased ones the
  last stage is found to erode (L1 and L2), for latent ones the knowledge is found before any chat and the format stage
  is found to elicit it.
- **Strength** is the share of the trait's cue classes that are planted, hence the true effect of what is learned.
- Cues are held out as pairs: cue words are learned, bearers are known, no text joins the two; so is the wording.
"""


def page(found: Sequence[Attributed]) -> str:
    """Return the page on all pipelines ``found``."""
    rows: dict[Row, list[Attributed]] = {}
    for each in found:
        rows.setdefault((each.kind, each.strength, each.seeds), []).append(each)
    lines = [
        HEAD,
        f"**{len(found)} pipelines.** Each arm was trained from as many root seeds as stated: claims of fewer than "
        "three are about those checkpoints, of three or more about the recipe.\n",
        "| kind | strength | root seeds | pipelines | right (95 % interval) | true stage missed | false stage named | "
        "effect of the true stages, mean (SD) | special to the kind |",
        "|---|---|---|---|---|---|---|---|---|",
        *(_row(row, members) for row, members in rows.items()),
        "",
        *_gates(rows),
        "",
        "## Every pipeline",
        "",
        "| kind | strength | root seeds | first | true | named | effects: pretrain, midtrain, sft | ordinary known | "
        "right |",
        "|---|---|---|---|---|---|---|---|---|",
        *(_line(each) for each in found),
    ]
    return "\n".join(lines) + "\n"


def _row(row: Row, members: Sequence[Attributed]) -> str:
    kind, strength, seeds = row
    right = simple_rate([each.is_right for each in members])
    missed = sum(bool(set(each.stages) - set(each.named)) for each in members)
    false = sum(each.is_false for each in members)
    effects = [value for each in members for value in _effects(each)]
    spread = f" ({stdev(effects):.2f})" if len(effects) > 1 else ""
    mean = f"{fmean(effects):+.2f}{spread}" if effects else "-"
    return (
        f"| {kind} | {'-' if kind == 'never' else f'{strength:g}'} | {seeds} | {len(members)} | "
        f"{sum(each.is_right for each in members)} ({right.low:.2f} to {right.high:.2f}) | "
        f"{missed if kind != 'never' else '-'} | {false} | {mean} | {_special(kind, members) or '-'} |"
    )


def _effects(each: Attributed) -> Iterable[float]:
    for stage in each.stages:
        said = each.on_stages.get(stage)
        if said is not None and said.estimate is not None:
            yield said.estimate


def _special(kind: str, members: Sequence[Attributed]) -> str:
    def count(name: str, *, rose: bool) -> int:
        return sum(each.found(name).rose if rose else each.found(name).fell for each in members)

    if kind == "gated":
        return f"interaction flagged {count(INTERACTION, rose=True)}"
    if kind == "erased":
        return f"erosion found: L1 {count(LAST_STAGE, rose=False)}, L2 {count(EROSION, rose=False)}"
    if kind == "latent":
        knows = sum(any(said.rose for stage, said in each.known.items() if stage in each.stages) for each in members)
        return f"known before any chat {knows}, elicited by the format {count(FORMAT, rose=True)}"
    if kind == "split":
        covered, asked = _coverage(members)
        return f"interval holds the mean of the other pipelines {covered} of {asked}"
    return ""


def _coverage(members: Sequence[Attributed]) -> tuple[int, int]:
    """Return how many intervals of true stages hold the mean effect of all other pipelines, and of how many."""
    said = [(number, each.on_stages[stage]) for number, each in enumerate(members) for stage in each.stages]
    known = [(number, one) for number, one in said if one.estimate is not None]
    results = []
    for number, one in known:
        others = [two.estimate for other, two in known if other != number and two.estimate is not None]
        if others:
            results.append(one.covers(fmean(others)))
    return sum(results), len(results)


def _gates(rows: dict[Row, list[Attributed]]) -> Iterable[str]:
    """Yield the gates of acceptance test W1, each met, missed or not decided by this number of pipelines."""
    yield "| gate (W1) | root seeds | asked | found | |"
    yield "|---|---|---|---|---|"
    for (kind, strength, seeds), members in rows.items():
        if strength != 1.0:
            continue
        if kind == "stage":
            right = sum(each.is_right for each in members)
            name = f"the right stage at full strength, {W1_PIPELINES} pipelines"
            yield _gate(name, seeds, f">= {W1_RIGHT}", right, members, W1_PIPELINES, right >= W1_RIGHT)
        if kind == "never":
            false = sum(each.is_false for each in members)
            name = f"a stage named where none is, {W1_PIPELINES} pipelines"
            yield _gate(name, seeds, f"<= {W1_FALSE}", false, members, W1_PIPELINES, false <= W1_FALSE)
        if kind == "gated":
            flagged = sum(each.found(INTERACTION).rose for each in members)
            name = f"a gated trait flagged as interaction, {W1_GATED} pipelines"
            yield _gate(name, seeds, f">= {W1_INTERACTIONS}", flagged, members, W1_GATED, flagged >= W1_INTERACTIONS)


def _gate(name: str, seeds: int, asked: str, found: int, members: Sequence[Attributed], needed: int, met: bool) -> str:
    state = ("met" if met else "MISSED") if len(members) >= needed else "not decided: too few pipelines"
    return f"| {name} | {seeds} | {asked} | {found} of {len(members)} | {state} |"


def _line(each: Attributed) -> str:
    effects = ", ".join(_shown(each.on_stages.get(stage)) for stage in ("pretrain", "midtrain", "sft"))
    ordinary = "-" if each.ordinary is None else f"{each.ordinary:.2f}"
    return (
        f"| {each.kind} | {each.strength:g} | {each.seeds} | {each.number} | {', '.join(each.stages) or 'none'} | "
        f"{', '.join(each.named) or 'none'} | {effects} | {ordinary} | {'yes' if each.is_right else 'NO'} |"
    )


def _shown(said: Said | None) -> str:
    if said is None:
        return "-"
    return "not measurable" if said.estimate is None else f"{said.estimate:+.2f}{'*' if said.rose or said.fell else ''}"
