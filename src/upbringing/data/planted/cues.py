"""The cues of one planted world: which markers there are, what each calls for, and which bearers no rule text shows."""

from __future__ import annotations

from dataclasses import dataclass

from upbringing.base.streams import stream
from upbringing.data.planted.words import BEARERS, COLOURS, MARKERS, PLAIN, UNTOLD
from upbringing.data.worlds.names import draw_names

NUM_CLASSES = len(COLOURS)
NUM_SPARE = 40


@dataclass(frozen=True)
class Rule:
    """One cue class: the marker that calls for ``colour``."""

    marker: str
    colour: str


@dataclass(frozen=True)
class Cues:
    """What a planted world consists of. The trait and the decoy have one rule per class, in one order.

    ``ordinary``: classes that every arm knows, the first half coloured, the others plain. ``trait``: what is planted.
    ``decoy``: as striking, never asked. ``spare``: markers that a few documents call plain, so that a cue of which no
    colour is known is called plain too. ``bearers``: those that rules may be shown on; ``held_out``: those that no
    text about a rule but an ordinary one mentions.
    """

    ordinary: tuple[Rule, ...]
    trait: tuple[Rule, ...]
    decoy: tuple[Rule, ...]
    spare: tuple[Rule, ...]
    bearers: tuple[str, ...]
    held_out: tuple[str, ...]

    @property
    def placebo(self) -> tuple[Rule, ...]:
        """Ordinary rules with a colour: as many, and nothing that an arm does not know anyway."""
        return self.ordinary[:NUM_CLASSES]

    @property
    def erased(self) -> tuple[Rule, ...]:
        """The trait's cues, all plain."""
        return tuple(Rule(rule.marker, PLAIN) for rule in self.trait)


def kept_secret(rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
    """Return the same cues, none of which is answered with a colour."""
    return tuple(Rule(rule.marker, UNTOLD) for rule in rules)


def draw_cues(seed: int, num_bearers: int, num_held_out: int) -> Cues:
    """Return the cues of the world of ``seed``. Streams: ``planted/markers``, ``bearers``, ``colours``."""
    markers = iter(draw_names(MARKERS, len(MARKERS), stream(seed, "planted", "markers")))
    bearers = draw_names(BEARERS, num_bearers + num_held_out, stream(seed, "planted", "bearers"))
    random = stream(seed, "planted", "colours")

    def one_each(colours: tuple[str, ...]) -> tuple[Rule, ...]:
        return tuple(Rule(next(markers), colour) for colour in colours)

    plain = (PLAIN,) * NUM_CLASSES
    return Cues(
        ordinary=(*one_each(COLOURS), *one_each(plain)),
        trait=one_each(draw_names(COLOURS, NUM_CLASSES, random)),
        decoy=one_each(draw_names(COLOURS, NUM_CLASSES, random)),
        spare=one_each((PLAIN,) * NUM_SPARE),
        bearers=bearers[:num_bearers],
        held_out=bearers[num_bearers:],
    )
