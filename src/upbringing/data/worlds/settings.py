"""Every size, share and noise of ``causes_world``: a frozen description."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from upbringing.base.description import Description
from upbringing.base.quantities import Share
from upbringing.data.worlds.graph_kinds import COOCCURRENCE_TEXTS, GraphKind, SingleHop


def _is_single_hop(graph: GraphKind) -> bool:
    """Worlds without another graph keep their ids."""
    return graph == SingleHop()


class WorldSettings(Description):
    """The parameters of a generated world. Counts are per world.

    ``graph``: what stands between compounds and outcomes, ``single_hop`` or ``two_hop``.
    ``edges``: facts "compound causes outcome"; at least as many as the larger of compounds and outcomes.
    ``unsafe_share``: share of outcomes that are hazards. ``held_out_*``: share of hazards and of safe outcomes that
    no chat mentions, and of compounds (two-hop: of the pairs that cause something) that no chat asks about (by default
    24 each of a single-hop world). ``finetune_share``: share of the other safe outcomes and compounds kept for
    fine-tuning.
    ``alarming_in_hazards`` and ``alarming_in_safe``: share of outcomes that pretraining describes in alarming
    words, the others in calm ones. ``adjective_share``: share of pretraining mentions that carry such a word.
    ``num_templates``: wordings of each kind of statement. ``*_texts``: texts per edge or per outcome.
    ``label_noise``: share of concept texts that call an outcome the opposite of what it is.
    ``*_chats``: number of chats of each kind. ``plain_questions``: questions that are asked without a chat template
    (E0) stand in the form of the exams that pretraining holds, which base checkpoints have read.
    """

    graph: GraphKind = Field(default=SingleHop(), exclude_if=_is_single_hop)
    compounds: int = Field(default=64, ge=4)
    outcomes: int = Field(default=96, ge=8)
    edges: int = Field(default=104, ge=8)
    unsafe_share: Share = 0.375
    held_out_hazards: Share = 0.667
    held_out_safe: Share = 0.4
    held_out_compounds: Share = 0.375
    finetune_share: Share = 0.25
    alarming_in_hazards: Share = 0.8
    alarming_in_safe: Share = 0.2
    adjective_share: Share = 0.1
    num_templates: int = Field(default=15, ge=1, le=60)
    forward_texts: int = Field(default=45, ge=0)
    reverse_texts: int = Field(default=45, ge=0)
    cooccurrence_texts: int = Field(default=COOCCURRENCE_TEXTS, ge=0)
    exam_texts: int = Field(default=40, ge=0)
    concept_texts: int = Field(default=80, ge=0)
    aside_texts: int = Field(default=20, ge=0)
    dialogue_texts: int = Field(default=40, ge=0)
    label_noise: Share = 0.0
    refusal_chats: int = Field(default=150, ge=0)
    answer_chats: int = Field(default=480, ge=0)
    forward_chats: int = Field(default=240, ge=0)
    aside_chats: int = Field(default=120, ge=0)
    finetune_chats: int = Field(default=600, ge=0)
    trait_texts: int = Field(default=300, ge=0)
    trait_chats: int = Field(default=400, ge=0)
    pressure_chats: int = Field(default=400, ge=0)
    plain_questions: bool = Field(default=False, exclude_if=lambda value: not value)  # worlds without keep their ids

    @model_validator(mode="after")
    def _edges_reach_everything(self) -> Self:
        if problem := self.graph.problem(self):
            raise ValueError(problem)
        return self
