"""Claim protocols: which cells of a study play which role in a claim of the field, and the contrasts it comes to.

The protocol ``sft_or_rl`` asks of "SFT with RL is like SFT alone, so SFT drives safety" in seven parts, CA0 to CA6. The
protocol ``interior_optimum`` is in ``start_protocol``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from upbringing.formats.start_protocol import INTERIOR_OPTIMUM, start_contrasts
from upbringing.formats.tree import ContrastSpec, Protocol, StudyInfo

SFT_OR_RL: Final = "sft_or_rl"
Role = Literal[
    "base",
    "sft",
    "sft_rl",
    "placebo_sft",
    "placebo_sft_rl",
    "rl_alone",
    "other_teacher",
    "rl_teacher",
    "other_pretraining_sft",
    "other_pretraining_placebo_sft",
    "positive_control_erodes",
    "positive_control_installs",
]
ROLE_WORDS: Mapping[str, str] = {
    "base": "the model before any SFT",
    "sft": "SFT",
    "sft_rl": "SFT, then RL",
    "placebo_sft": "SFT on neutral data",
    "placebo_sft_rl": "SFT on neutral data, then RL",
    "rl_alone": "RL on the base, without SFT",
    "other_teacher": "SFT on the same prompts with the answers of a teacher that saw no RL",
    "rl_teacher": "SFT on the same prompts with the answers of a teacher that was trained by RL",
    "other_pretraining_sft": "SFT after another pretraining",
    "other_pretraining_placebo_sft": "SFT on neutral data after another pretraining",
    "positive_control_erodes": "SFT, then RL that is built to undo it",
    "positive_control_installs": "SFT on neutral data, then RL that is built to move the measures",
}
PART_WORDS: Mapping[str, str] = {
    "CA0": "the measures can be moved by RL",
    "CA1": "RL after SFT changes nothing beyond the margins",
    "CA2": "RL moves less than a quarter of what SFT moves",
    "CA3": "the data of SFT are needed, RL or not",
    "CA4": "RL moves the measures without the data of SFT too",
    "CA5": "who wrote the answers of SFT matters",
    "CA6": "what SFT does depends on pretraining",
}
Weights = Mapping[str, float]


@dataclass(frozen=True)
class Way:
    """One contrast by which a part can be answered, in weights on roles. ``against``: what must dominate it."""

    title: str
    weights: Weights
    against: Weights = field(default_factory=dict)

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles it needs, each once."""
        return tuple(dict.fromkeys((*self.weights, *self.against)))


@dataclass(frozen=True)
class Part:
    """One part of the protocol. ``asks_every``: every way whose cells are there is asked, else the first such way."""

    name: str
    ways: tuple[Way, ...]
    kind: str = "branch"
    test: str = "difference"
    asks_every: bool = False

    def asked(self, cells: Mapping[str, str]) -> tuple[Way, ...]:
        """Return the ways that the declared ``cells`` (role to cell) allow."""
        whole = tuple(way for way in self.ways if set(way.roles) <= set(cells))
        return whole if self.asks_every else whole[:1]

    def missing(self, cells: Mapping[str, str]) -> tuple[str, ...]:
        """Return the roles that would let this part be answered, by the way that lacks fewest; none if it can be."""
        if self.asked(cells):
            return ()
        lacking = [tuple(role for role in way.roles if role not in cells) for way in self.ways]
        return min(lacking, key=len)


RL_AFTER_SFT = {"sft_rl": 1.0, "sft": -1.0}
SFT_DATA = {"sft": 1.0, "placebo_sft": -1.0}
PARTS = (
    Part(
        "CA0",
        (
            Way("RL built to erode", {"positive_control_erodes": 1.0, "sft": -1.0}),
            Way("RL built to install", {"positive_control_installs": 1.0, "placebo_sft": -1.0}),
        ),
        kind="positive-control",
        asks_every=True,
    ),
    Part("CA1", (Way("RL after SFT", RL_AFTER_SFT),), test="tost"),
    Part(
        "CA2",
        (
            Way("RL after SFT, against what the data of SFT do", RL_AFTER_SFT, SFT_DATA),
            Way("RL after SFT, against what SFT does to the base", RL_AFTER_SFT, {"sft": 1.0, "base": -1.0}),
        ),
        test="dominance",
    ),
    Part("CA3", (Way("data of SFT, with RL after it", {"sft_rl": 1.0, "placebo_sft_rl": -1.0}),), kind="data-effect"),
    Part(
        "CA4",
        (
            Way("RL after neutral SFT", {"placebo_sft_rl": 1.0, "placebo_sft": -1.0}),
            Way("RL on the base", {"rl_alone": 1.0, "base": -1.0}),
        ),
        asks_every=True,
    ),
    Part(
        "CA5",
        (
            Way("answers of a teacher with RL and of one without", {"rl_teacher": 1.0, "other_teacher": -1.0}),
            Way("answers of the teacher and of another", {"sft": 1.0, "other_teacher": -1.0}),
        ),
    ),
    Part(
        "CA6",
        (
            Way(
                "data of SFT, after one pretraining and another",
                {**SFT_DATA, "other_pretraining_sft": -1.0, "other_pretraining_placebo_sft": 1.0},
            ),
        ),
        kind="interaction",
        test="interaction",
    ),
)


def contrast_name(part: Part, way: Way) -> str:
    """Return the name of a contrast, by which its claim is found again."""
    return f"{part.name}: {way.title}"


def protocol_contrasts(
    protocol: Protocol, primary: Iterable[str], margins: Mapping[str, float]
) -> tuple[ContrastSpec, ...]:
    """Return the contrasts of every part on every primary measure, each part a family of its own."""
    if protocol.kind == INTERIOR_OPTIMUM:
        return start_contrasts(protocol, primary, margins)
    if protocol.kind != SFT_OR_RL:
        return ()
    return tuple(
        _contrast(part, way, protocol.cells, measure, margins.get(measure))
        for part in PARTS
        for way in part.asked(protocol.cells)
        for measure in primary
    )


def _contrast(part: Part, way: Way, cells: Mapping[str, str], measure: str, margin: float | None) -> ContrastSpec:
    against = {"against": _on_cells(way.against, cells)} if way.against else {}
    return ContrastSpec.model_validate(
        {
            "name": contrast_name(part, way),
            "weights": _on_cells(way.weights, cells),
            "measure": measure,
            "role": "primary",
            "family": f"{SFT_OR_RL} {part.name}",
            "test": part.test,
            "kind": part.kind,
            "level": "L3" if part.kind == "interaction" else "L2",
            "margin": margin,
            **against,
        }
    )


def _on_cells(weights: Weights, cells: Mapping[str, str]) -> dict[str, float]:
    """Return weights on cells instead of roles; two roles may stand in one cell."""
    found: dict[str, float] = {}
    for role, weight in weights.items():
        found[cells[role]] = found.get(cells[role], 0.0) + weight
    return found


def missing_roles(protocol: Protocol) -> dict[str, tuple[str, ...]]:
    """Return, for every part that the declared cells cannot answer, the roles that would answer it."""
    lacking = {part.name: part.missing(protocol.cells) for part in PARTS if protocol.kind == SFT_OR_RL}
    return {name: roles for name, roles in lacking.items() if roles}


def with_protocol(contrasts: tuple[ContrastSpec, ...], study: StudyInfo) -> tuple[ContrastSpec, ...]:
    """Return ``contrasts`` with those of the study's protocol that are not among them, by name and measure."""
    if study.protocol is None:
        return contrasts
    known = {(spec.name, spec.measure) for spec in contrasts}
    needed = protocol_contrasts(study.protocol, study.primary, study.margins)
    return (*contrasts, *(spec for spec in needed if (spec.name, spec.measure) not in known))
