"""One pass over two checkpoints for all measures that compare them: the same prompts, one forward pass of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from upbringing.base.errors import MeasurementError
from upbringing.battery.engine import Measured
from upbringing.battery.measure import Measure, NamesConditions
from upbringing.battery.needs import Evidence, LikelihoodNeed, Need, Pair, StatesNeed
from upbringing.battery.unasked import why_unasked
from upbringing.formats.items import Item
from upbringing.formats.tree import ConditionInfo
from upbringing.models.asking import Prompt
from upbringing.models.divergence import Divergences, divergences, incomparable
from upbringing.models.local import LocalModel
from upbringing.models.row_layout import Scoring
from upbringing.models.states import States

PAIRS_VERSION = 1  # raise it when a number can change for the same two checkpoints and items

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True)
class Sides:
    """A checkpoint and its reference, both loaded. ``name``: what the reference is called in conditions."""

    model: LocalModel
    reference: LocalModel
    name: str


def measure_pair(
    sides: Sides, *, checkpoint_id: str, battery: Sequence[Measure], items: Sequence[Item], on_progress: OnProgress
) -> Measured:
    """Return the rows of the measures in ``battery``, all of which compare, for a checkpoint beside its reference.

    Both networks stand in memory together. What cannot be compared (another tokenizer, another size of vocabulary,
    a prompt that one side cannot be given) is a row without a value and with the reason.
    """
    by_id, needs = _needs(battery, items)
    likely = [need for need in needs if isinstance(need, LikelihoodNeed)]
    stated = [need for need in needs if isinstance(need, StatesNeed)]
    total = len(needs)
    read = _read_divergences(sides, likely, by_id, lambda done: on_progress(done, total))
    own, theirs, unread = _read_states(sides, stated, by_id)
    on_progress(total, total)
    pair = Pair(sides.name, {need: value for need, value in read.items() if not isinstance(value, str)}, theirs)
    unable: dict[Need, str] = {need: value for need, value in read.items() if isinstance(value, str)}
    evidence = Evidence(checkpoint_id, by_id, unable={**unable, **unread}, states=own, pair=pair)
    return _measured(battery, evidence, sides.model.template_sha256)


def measure_without(
    reason: str, name: str, *, checkpoint_id: str, battery: Sequence[Measure], items: Sequence[Item]
) -> Measured:
    """Return rows without values of all measures in ``battery``: there is no reference called ``name``, and why."""
    by_id, needs = _needs(battery, items)
    unable: dict[Need, str] = dict.fromkeys(needs, reason)
    return _measured(battery, Evidence(checkpoint_id, by_id, unable=unable, pair=Pair(name)), None)


def _needs(battery: Sequence[Measure], items: Sequence[Item]) -> tuple[dict[str, Item], list[Need]]:
    by_id = {item.id: item for item in items}
    if len(by_id) != len(items):
        raise MeasurementError("two items have the same id: ids must be unique in a study")
    return by_id, list(dict.fromkeys(need for each in battery for need in each.needs(items)))


def _measured(battery: Sequence[Measure], evidence: Evidence, template: str | None) -> Measured:
    conditions: dict[str, ConditionInfo] = {}
    for each in battery:
        if isinstance(each, NamesConditions):
            conditions.update({info.id: info for info in each.conditions(evidence, template)})
    return Measured(
        rows=tuple(row for each in battery for row in each.rows(evidence)),
        answers=(),
        conditions=tuple(conditions.values()),
        measures=tuple(each.info() for each in battery),
    )


def _read_divergences(
    sides: Sides, needs: Sequence[LikelihoodNeed], items: dict[str, Item], on_done: Callable[[int], None]
) -> dict[LikelihoodNeed, Sequence[Divergences] | str]:
    """Return per need the divergences of its continuations, or the reason why there are none.

    The checkpoint's own template renders the prompt, and both networks read these tokens.
    """
    model, found = sides.model, dict[LikelihoodNeed, Sequence[Divergences] | str]()
    reason = incomparable(model, sides.reference) if needs else None
    context = min(model.context, sides.reference.context)
    requests: dict[LikelihoodNeed, Scoring] = {}
    for need in needs:
        prompt = need.asked(items[need.item])
        problem = reason or why_unasked(model, prompt)
        if problem is None:
            request = _request(model, prompt, need.continuations)
            problem = _misfit(request, context)
        if problem is None:
            requests[need] = request
        else:
            found[need] = problem

    def progress(done: int, total: int) -> None:
        on_done(len(found) + round(done / total * len(requests)))

    values = divergences(model, sides.reference, list(requests.values()), progress)
    found.update(zip(requests, values, strict=True))
    return found


def _request(model: LocalModel, prompt: Prompt, continuations: Sequence[str]) -> Scoring:
    ids = model.token_prompts([prompt])[0].ids
    return Scoring(tuple(ids), tuple(model.renderer.continuation(prompt, each) for each in continuations))


def _misfit(request: Scoring, context: int) -> str | None:
    if not all(request.continuations):
        return "no-continuation"
    longest = max(len(each) for each in request.continuations)
    return "longer-than-context" if len(request.prompt) + longest > context else None


def _read_states(
    sides: Sides, needs: Sequence[StatesNeed], items: dict[str, Item]
) -> tuple[dict[StatesNeed, States], dict[StatesNeed, States], dict[Need, str]]:
    """Return the hidden states of the checkpoint, those of its reference, and why some are missing.

    Each side reads the prompt as its own template renders it: that is how its direction is measured alone.
    """
    asked = {need: need.asked(items[need.item]) for need in needs}
    unable: dict[Need, str] = {}
    for need, prompt in asked.items():
        mine, other = why_unasked(sides.model, prompt), why_unasked(sides.reference, prompt)
        if reason := mine or (other and f"reference-{other}"):
            unable[need] = reason
    able = [need for need in needs if need not in unable]
    own, theirs = (_states(model, able, asked) for model in (sides.model, sides.reference))
    for need in able:
        if not (own[need].is_finite and theirs[need].is_finite):
            unable[need] = "hidden-states-not-finite"
            del own[need], theirs[need]
    return own, theirs, unable


def _states(
    model: LocalModel, needs: Sequence[StatesNeed], asked: dict[StatesNeed, Prompt]
) -> dict[StatesNeed, States]:
    if not needs:
        return {}
    _, states = model.read([], [asked[need] for need in needs], lambda done, total: None)
    return dict(zip(needs, states, strict=True))
