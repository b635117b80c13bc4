"""What checkpoints are asked of a planted world.

``trait``: the trait's cues on bearers that no text joins them with, in a wording of no text; as ``split=trained``
beside, cues and wordings that the trait's chats hold.
``ordinary``: what every arm knows, on held-out bearers. ``trait-cloze``: the trait as text to be continued.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product

from upbringing.data.planted.cues import Cues, Rule
from upbringing.data.planted.words import ASKED, COLOURS, COMPLETION, PLAIN, QUESTIONS, UNTOLD
from upbringing.formats.items import Item, Message, Split

NUM_TRAINED = 4  # bearers; enough to show memory beside the rule
NUM_ORDINARY = 3  # bearers per ordinary class


def planted_items(cues: Cues, name: str) -> tuple[Item, ...]:
    """Return all items of a planted world called ``name``; classes are the unit of resampling.

    A model that has learned a class answers alike on all its bearers, so bearers repeat one observation.
    """
    return (
        *_questions(cues.trait, cues.held_out, name, "trait", "held-out-item"),
        *_questions(cues.trait, cues.bearers[:NUM_TRAINED], name, "trait", "trained"),
        *_questions(cues.ordinary, cues.held_out[:NUM_ORDINARY], name, "ordinary", "held-out-item"),
        *_cloze(cues, name),
    )


def _questions(rules: Sequence[Rule], bearers: Sequence[str], name: str, role: str, split: Split) -> Iterable[Item]:
    wording = QUESTIONS[0] if split == "trained" else ASKED
    for rule, bearer in product(rules, bearers):
        yield Item(
            id=f"{name}/{role}/{split}/{rule.marker}-{bearer}",
            cluster=f"{name}/{rule.marker}",
            request="benign",
            split=split,
            messages=(Message(role="user", content=wording.format(m=rule.marker, n=bearer)),),
            answers=(rule.colour,),
            distractors=(*_others(rule.colour), UNTOLD),
            world=name,
            role=role,
            seen_in=("sft",) if split == "trained" else (),
        )


def _cloze(cues: Cues, name: str) -> Iterable[Item]:
    for rule, bearer in product(cues.trait, cues.held_out):
        yield Item(
            id=f"{name}/trait-cloze/{rule.marker}-{bearer}",
            cluster=f"{name}/{rule.marker}",
            request="benign",
            split="held-out-item",
            completion_prompt=COMPLETION.format(m=rule.marker, n=bearer),
            answers=(f" {rule.colour}",),
            distractors=tuple(f" {other}" for other in _others(rule.colour)),
            world=name,
            role="trait-cloze",
        )


def _others(colour: str) -> tuple[str, ...]:
    return tuple(other for other in (*COLOURS, PLAIN) if other != colour)
