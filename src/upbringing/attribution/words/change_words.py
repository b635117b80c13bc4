"""The words for a rise and a fall: by kind of contrast, and by how strong the evidence is."""

from __future__ import annotations

from upbringing.formats.findings import Claim

CHANGED_WORDS = {
    "sufficiency": ("this alone raises it", "this alone lowers it"),
    "shapley": ("this contributes upwards", "this contributes downwards"),
    "asymmetric-shapley": ("this contributes upwards", "this contributes downwards"),
    "total-effect": ("together they raise it", "together they lower it"),
    "generic-effect": (
        "training on neutral data raises it",
        "training on neutral data lowers it",
    ),
    "difference-in-differences": ("the first gained more or lost less", "the first lost more or gained less"),
    "linear-trend": ("rises with the level", "falls with the level"),
    "quadratic-trend": ("bends upwards", "bends downwards"),
}
"""Words for a rise and a fall, by kind, from L2 on; other kinds say what depends on what."""

SAME_MODEL_WORDS = {
    "judge-sensitivity": ("the judges differ: the first is higher", "the judges differ: the first is lower"),
    "format-sensitivity": ("the prompt's format moves it up", "the prompt's format moves it down"),
    "direction-assay": ("more than a random direction does", "less than a random direction does"),
}

INTERACTIONS = ("interaction", "higher-interaction")
NO_PAIR = frozenset({*CHANGED_WORDS, *INTERACTIONS} - {"sufficiency", "total-effect", "generic-effect"})
"""Kinds that compare no two things, which could be alike."""


def changed_word(claim: Claim) -> str:
    """Return what a claim that changed says did: on a path something rose, from L2 on something depends on this."""
    decides = claim.estimate if claim.corrected is None else claim.corrected.estimate
    rose = (decides or 0.0) > 0
    if claim.kind in SAME_MODEL_WORDS:
        return SAME_MODEL_WORDS[claim.kind][0 if rose else 1]
    if claim.level == "L4":
        return "comes out higher" if rose else "comes out lower"
    if claim.kind in INTERACTIONS:
        if claim.level == "L1":
            return "comes out above zero" if rose else "comes out below zero"
        if claim.kind == "interaction":
            return f"together they bring it {'higher' if rose else 'lower'} than their single effects, added up"
        return "the effects depend on each other"
    if claim.level == "L1":
        return "rose during this stage" if rose else "fell during this stage"
    words = CHANGED_WORDS.get(claim.kind, ("depends on this: it is higher", "depends on this: it is lower"))
    return words[0 if rose else 1]
