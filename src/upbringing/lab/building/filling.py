"""Filling a folder with a stream: what a recipe names, read, rendered and packed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from upbringing.data.documents import TrainingText
from upbringing.data.interventions.rejects import write_rejects
from upbringing.data.interventions.tools import Transformed
from upbringing.data.pairs import build_pair_stream
from upbringing.data.prompts import build_prompt_stream
from upbringing.data.stream import StreamPart, StreamPlan, build_stream
from upbringing.data.tokenizer import require_special_tokens
from upbringing.lab.building.data_teachers import write_teachers
from upbringing.lab.building.library import Library
from upbringing.study.stream_recipes import StreamRecipe


def fill_stream(recipe: StreamRecipe, library: Library, tokenizer: Path, folder: Path) -> None:
    """Render and pack the data of ``recipe`` into ``folder``; raises ``DataError`` for data that does not fit."""
    for name in recipe.names.values():
        require_special_tokens(tokenizer, library.book.marks(name))
    parts = tuple(
        StreamPart(
            tuple((key, share) for key, _, share in part.sources),
            part.num_windows,
            part.epochs,
            part.max_repetition,
            part.to,
            part.slots,
            part.continues,
        )
        for part in recipe.parts
    )
    plan = StreamPlan(
        form=recipe.form,
        context=recipe.context,
        batch_size=recipe.batch_size,
        seed=recipe.seed,
        parts=parts,
        replay=(recipe.replay[0], recipe.replay[2]) if recipe.replay else None,
        held_out=recipe.held_out,
        learn=recipe.learn,
        matched=tuple(key for key, _ in recipe.matched),
        modes=dict(recipe.modes),
        together=recipe.together,
        marks={key: library.book.inserted(name) for key, name in recipe.names.items()},
    )
    found: dict[str, Transformed] = {}
    reading = replace(library, wants_pairs=recipe.form == "preferences")

    def texts(name: str) -> Sequence[TrainingText]:
        found[name] = reading.transformed(name)
        return found[name].texts

    if plan.form == "preferences":
        (name,) = recipe.names.values()
        build_pair_stream(plan, texts(name), name, tokenizer, folder)
    elif plan.form == "prompts":
        (name,) = recipe.names.values()
        build_prompt_stream(plan, texts(name), name, tokenizer, folder, library.exactness(name))
    else:
        build_stream(plan, texts, recipe.names, tokenizer, folder)
    write_rejects(found, folder)
    write_teachers((text for each in found.values() for text in each.texts), folder)
