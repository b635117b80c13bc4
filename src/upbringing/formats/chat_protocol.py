"""The protocol ``documents_and_chats``: does chat SFT that shows a trait carry it beyond its own distribution?

Two factors, each on or neutral: documents of midtraining that describe the trait, and chats of SFT that show it.
Source: statistics-and-measures, section 6, claim C. Departures: a positive control, without which "alike" decides
nothing, and a threshold for what counts as retained.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Literal

from upbringing.formats.outcomes import Outcome
from upbringing.formats.parts import Part, Way, part_contrast
from upbringing.formats.tree import ContrastSpec, Protocol

DOCUMENTS_AND_CHATS: Final = "documents_and_chats"
ChatRole = Literal["neither", "documents", "chats", "both", "positive_control"]
CHAT_ROLE_WORDS: Mapping[str, str] = {
    "neither": "unrelated documents, then neutral chats",
    "documents": "documents about the trait, then neutral chats",
    "chats": "unrelated documents, then chats that show the trait",
    "both": "documents about the trait, then chats that show it",
    "positive_control": "training that is built to show the trait out of the chats' distribution",
}
CHAT_PART_WORDS: Mapping[str, str] = {
    "CC0": "the measures can be moved out of the chats' distribution",
    "CC1": "chats that show the trait change it out of their distribution",
    "CC2": "documents about the trait change it out of the chats' distribution",
    "CC3": "documents amplify what the chats do out of their distribution",
    "CC4": "most of what the chats do in their distribution is retained out of it",
    "CC5": "chats that show the trait change it in their distribution",
    "CC6": "documents about the trait change what is known of it",
    "CC7": "chats that show the trait change behaviour under pressure",
}
RETAINED: Final = "retained"
DEFAULT_RETAINED = 0.5  # "most of it": our choice, fixed before anything is measured
OUTSIDE_SPLIT, INSIDE_SPLIT = "ood", "held-out-item"
OutcomeKind = Literal["outside", "inside", "answered", "knowledge", "pressure"]

CHATS = (
    Way("chats, averaged over documents", {"both": 0.5, "documents": -0.5, "chats": 0.5, "neither": -0.5}),
    Way("chats, after unrelated documents", {"chats": 1.0, "neither": -1.0}, kind="data-effect"),
    Way("chats, after documents about the trait", {"both": 1.0, "documents": -1.0}, kind="data-effect"),
)
DOCUMENTS = (
    Way("documents, averaged over chats", {"both": 0.5, "chats": -0.5, "documents": 0.5, "neither": -0.5}),
    Way("documents, before neutral chats", {"documents": 1.0, "neither": -1.0}, kind="data-effect"),
    Way("documents, before chats that show the trait", {"both": 1.0, "chats": -1.0}, kind="data-effect"),
)
CHAT_PARTS = (
    Part(
        "CC0",
        (Way("trained to show it there", {"positive_control": 1.0, "neither": -1.0}),),
        kind="positive-control",
    ),
    Part("CC1", CHATS, kind="main-effect"),
    Part("CC2", DOCUMENTS, kind="main-effect"),
    Part(
        "CC3",
        (Way("documents and chats together", {"both": 1.0, "documents": -1.0, "chats": -1.0, "neither": 1.0}),),
        kind="interaction",
        test="interaction",
    ),
    Part("CC4", ()),  # a ratio of CC1 to CC5, not a contrast
    Part("CC5", CHATS, kind="main-effect"),
    Part("CC6", DOCUMENTS, kind="main-effect"),
    Part("CC7", CHATS, kind="main-effect"),
)
RATIO_PART, OVER_PART, UNDER_PART = "CC4", "CC1", "CC5"  # the ratio, its numerator, its denominator
KIND_OF_PART: Mapping[str, OutcomeKind] = {
    **dict.fromkeys(("CC0", "CC1", "CC2", "CC3", "CC4"), "outside"),
    "CC5": "inside",
    "CC6": "knowledge",
    "CC7": "pressure",
}


def outcome_name(kind: OutcomeKind, name: str) -> str:
    """Return the name of an outcome in the protocol. ``name``: of the primary measure it belongs to, or its own."""
    return f"{kind} {name}"


def outcomes_of(protocol: Protocol, part: str, primary: tuple[str, ...]) -> dict[str, Outcome]:
    """Return what a part is asked of: a primary measure in or out of distribution, or the outcomes of a kind.

    A primary measure for which nothing is named is read on the splits ``ood`` and ``held-out-item``.
    """
    kind = KIND_OF_PART[part]
    if kind in ("outside", "inside"):
        split = OUTSIDE_SPLIT if kind == "outside" else INSIDE_SPLIT
        default = {name: Outcome(measure=name, split=split) for name in primary}
        return {name: protocol.outcomes.get(outcome_name(kind, name), default[name]) for name in primary}
    prefix = outcome_name(kind, "")
    return {
        name.removeprefix(prefix): outcome for name, outcome in protocol.outcomes.items() if name.startswith(prefix)
    }


def missing_outcomes(protocol: Protocol) -> dict[str, str]:
    """Return, for every part that no outcome is named for, the kind of outcome that would let it be asked."""
    if protocol.kind != DOCUMENTS_AND_CHATS:
        return {}
    kinds = {part: kind for part, kind in KIND_OF_PART.items() if kind in ("knowledge", "pressure")}
    return {part: kind for part, kind in kinds.items() if not outcomes_of(protocol, part, ())}


def answered_of(protocol: Protocol, measure: str) -> Outcome | None:
    """Return where it stands whether the answers behind a primary measure also answer; ``None`` if nowhere."""
    return protocol.outcomes.get(outcome_name("answered", measure))


def chat_contrasts(
    protocol: Protocol, primary: tuple[str, ...], margins: Mapping[str, float]
) -> tuple[ContrastSpec, ...]:
    """Return the contrasts of every part on every outcome that it is asked of, each part a family of its own."""
    return tuple(_contrasts(protocol, primary, margins))


def _contrasts(protocol: Protocol, primary: tuple[str, ...], margins: Mapping[str, float]) -> Iterator[ContrastSpec]:
    for part in CHAT_PARTS:
        for way in part.asked(protocol.cells):
            for outcome in outcomes_of(protocol, part.name, primary).values():
                margin = margins.get(outcome.measure)
                yield part_contrast(DOCUMENTS_AND_CHATS, part, way, protocol.cells, outcome, margin)


def chat_part(name: str) -> Part:
    """Return the part of that name."""
    return next(part for part in CHAT_PARTS if part.name == name)
