"""Claim protocols: which cells of a study play which role in a claim of the field, and the contrasts it comes to.

The protocol ``sft_or_rl`` asks of "SFT with RL is like SFT alone, so SFT drives safety" in seven parts, CA0 to CA6. The
protocols ``interior_optimum`` and ``documents_and_chats`` are in ``start_protocol`` and ``chat_protocol``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Literal

from upbringing.formats.chat_protocol import (
    CHAT_PART_WORDS,
    CHAT_PARTS,
    CHAT_ROLE_WORDS,
    DOCUMENTS_AND_CHATS,
    chat_contrasts,
)
from upbringing.formats.outcomes import Outcome
from upbringing.formats.parts import Part, Way, part_contrast
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


PARTS_OF: Mapping[str, tuple[Part, ...]] = {SFT_OR_RL: PARTS, DOCUMENTS_AND_CHATS: CHAT_PARTS}
ALL_ROLE_WORDS: Mapping[str, str] = {**ROLE_WORDS, **CHAT_ROLE_WORDS}
ALL_PART_WORDS: Mapping[str, str] = {**PART_WORDS, **CHAT_PART_WORDS}


def protocol_contrasts(
    protocol: Protocol, primary: Iterable[str], margins: Mapping[str, float]
) -> tuple[ContrastSpec, ...]:
    """Return the contrasts of every part on every primary measure, each part a family of its own."""
    if protocol.kind == INTERIOR_OPTIMUM:
        return start_contrasts(protocol, primary, margins)
    if protocol.kind == DOCUMENTS_AND_CHATS:
        return chat_contrasts(protocol, tuple(primary), margins)
    if protocol.kind != SFT_OR_RL:
        return ()
    return tuple(
        part_contrast(SFT_OR_RL, part, way, protocol.cells, Outcome(measure=measure), margins.get(measure))
        for part in PARTS
        for way in part.asked(protocol.cells)
        for measure in primary
    )


def missing_roles(protocol: Protocol) -> dict[str, tuple[str, ...]]:
    """Return, for every part that the declared cells cannot answer, the roles that would answer it."""
    lacking = {part.name: part.missing(protocol.cells) for part in PARTS_OF.get(protocol.kind, ())}
    return {name: roles for name, roles in lacking.items() if roles}


def with_protocol(contrasts: tuple[ContrastSpec, ...], study: StudyInfo) -> tuple[ContrastSpec, ...]:
    """Return ``contrasts`` with those of the study's protocol that are not among them, by name and measure."""
    if study.protocol is None:
        return contrasts
    known = {(spec.name, spec.measure) for spec in contrasts}
    needed = protocol_contrasts(study.protocol, study.primary, study.margins)
    return (*contrasts, *(spec for spec in needed if (spec.name, spec.measure) not in known))
