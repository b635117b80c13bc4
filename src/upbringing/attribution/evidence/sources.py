"""Which scores carry a claim: the judge, the condition and the split that stand first, and the others beside."""

from __future__ import annotations

from collections.abc import Sequence

from upbringing.attribution.evidence.cells import Evidence
from upbringing.formats.rows import DEFAULT_CONDITION
from upbringing.formats.tree import ConditionInfo, Tree

JUDGE_ORDER = ("oracle", "rule", "llm", "human", None)  # exact first; people label samples, which never carry a claim
SPLIT_ORDER = ("held-out-item", "held-out-family", "ood", None, "trained")  # what training never touched comes first
ENOUGH_COVERAGE = 0.5  # a judge with fewer of the first judge's rows is a calibration sample, no second opinion


def first_judge(evidence: Evidence, measure: str) -> str:
    """Return the judge that carries the claims: exact before rules before language models before people.

    A judge that scored nothing (it cannot tell) comes last.
    """
    judges = evidence.judges(measure)
    return min(judges, key=lambda name: (judges[name] == 0, JUDGE_ORDER.index(evidence.judge_kind(name)), name))


def second_judges(evidence: Evidence, measure: str) -> tuple[str, ...]:
    """Return the other judges whose opinion covers the measure; human samples are none."""
    judges, first = evidence.judges(measure), first_judge(evidence, measure)
    needed = ENOUGH_COVERAGE * judges[first]
    return tuple(
        name
        for name, num in judges.items()
        if name != first and num > 0 and num >= needed and evidence.judge_kind(name) != "human"
    )


def first_condition(tree: Tree, evidence: Evidence, measure: str) -> str:
    """Return the condition that stands first: the default, else the first that the tree lists without an attack."""
    present = evidence.conditions(measure)
    listed = [each for each in tree.conditions if each.id in present]
    ranked = sorted(listed, key=lambda each: (each.attack is not None, each.elicitation != "E1"))
    return DEFAULT_CONDITION if DEFAULT_CONDITION in present else (ranked[0].id if ranked else present[0])


def format_conditions(tree: Tree, evidence: Evidence, measure: str) -> tuple[str, ...]:
    """Return the conditions that ask the same in another format than the first condition.

    The same decoding, attack (its text included) and system prompt under another template or elicitation; conditions
    that the tree does not describe are taken to be formats.
    """
    first = first_condition(tree, evidence, measure)
    described = {each.id: each for each in tree.conditions}
    return tuple(
        name
        for name in evidence.conditions(measure)
        if name != first and _differs_in_format_only(described.get(first), described.get(name))
    )


def _differs_in_format_only(one: ConditionInfo | None, other: ConditionInfo | None) -> bool:
    if one is None or other is None:
        return one is other
    fixed = ("decoding", "attack", "attempt", "prefill_tokens", "attack_text", "system_prompt")
    if one.attack is not None and (one.elicitation, one.template) == (other.elicitation, other.template):
        return False  # trees of before name no texts of attacks, and these differ in nothing else that is told
    return all(getattr(one, name) == getattr(other, name) for name in fixed)


def ordered_splits(evidence: Evidence, measure: str) -> tuple[str | None, ...]:
    """Return the splits of ``measure``, what training never touched first."""
    known = {name: place for place, name in enumerate(SPLIT_ORDER)}
    splits: Sequence[str | None] = evidence.splits(measure)
    return tuple(sorted(splits, key=lambda name: (known.get(name, len(known)), name or "")))
