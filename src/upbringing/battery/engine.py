"""One pass over a checkpoint for a whole battery: prompts rendered once, one answer for all judges and measures, one
forward pass for all likelihoods. What a measure asks for is collected first; what two measures ask for is asked once.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow as pa

from upbringing.base.errors import MeasurementError, UpbringingWarning
from upbringing.battery.answering import Asking
from upbringing.battery.cache import AnswerCache
from upbringing.battery.interventions import answers_under_interventions
from upbringing.battery.judging import Spoken, judged, not_asked
from upbringing.battery.measure import Measure, NamesConditions
from upbringing.battery.needs import AnswerNeed, Evidence, Need, StatesNeed
from upbringing.battery.reading import FRESH_FOLDER, Seeded, read_all
from upbringing.battery.searching import SearchRecord, answers_behind_searches
from upbringing.formats.answers import Answer
from upbringing.formats.items import Item, Judge
from upbringing.formats.record import LearnedTokens
from upbringing.formats.rows import Row, rows_table
from upbringing.formats.tree import ConditionInfo, MeasureInfo
from upbringing.models.asking import Model
from upbringing.models.loading import LoadedModel
from upbringing.models.local import LocalModel
from upbringing.models.openvino import Engine, OpenVinoModel

BATTERY_VERSION = 5  # raise it when a number can change for the same model and items

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True)
class Measured:
    """What a battery found on one checkpoint. ``accounting``: how the requests ended, by status.

    ``num_cached``: answers that were not asked for again. ``unasked``: the needs that this model could not be asked
    for, as (item, condition), each with its reason. ``searched``: the suffixes that were searched on this model.
    """

    rows: tuple[Row, ...]
    answers: tuple[Answer, ...]
    conditions: tuple[ConditionInfo, ...]
    measures: tuple[MeasureInfo, ...] = ()
    accounting: Mapping[str, int] = field(default_factory=dict)
    num_cached: int = 0
    unasked: Mapping[tuple[str, str], str] = field(default_factory=dict)
    searched: tuple[SearchRecord, ...] = ()

    @property
    def table(self) -> pa.Table:
        """The rows in their public format."""
        return rows_table(self.rows)


def measure_checkpoint(
    loaded: LoadedModel,
    *,
    checkpoint: str,
    battery: Sequence[Measure],
    items: Sequence[Item],
    judges: Sequence[Judge],
    precision: str,
    seed: int,
    on_progress: OnProgress,
    answers_cache: Path | None = None,
    judged_later: bool = False,
    engine: Engine = "transformers",
    learned_tokens: LearnedTokens | None = None,
) -> Measured:
    """Return rows and answers of ``battery`` on a loaded checkpoint. ``seed`` seeds sampled decoding only.

    ``answers_cache``: a folder in which finished batches are kept; without it an interruption starts again.
    ``judged_later``: no judge is needed now, because ``battery.rejudging`` will show the answers to one.
    ``engine``: what generates the answers; any but transformers needs ``answers_cache``. ``learned_tokens``: what the
    records of its lineage say of special tokens; ``None`` = nothing is known.
    """
    local = local_model(loaded, precision=precision, hashed=answers_cache is not None)
    if learned_tokens is not None:
        local = replace(local, learned_tokens=learned_tokens)
    return measure(
        engine_model(local, engine, answers_cache),
        checkpoint_id=checkpoint,
        battery=battery,
        items=items,
        judges=judges,
        seed=seed,
        answers_cache=answers_cache,
        on_progress=on_progress,
        judged_later=judged_later,
    )


def engine_model(local: LocalModel, engine: Engine, folder: Path | None) -> Model:
    """Return what answers for ``local``. ``folder``: where an engine that converts checkpoints keeps them."""
    if engine == "transformers":
        return local
    if folder is None:
        raise MeasurementError(
            f"engine: {engine} converts the checkpoint and needs a folder for it: give answers_cache"
        )
    import torch

    return OpenVinoModel(local, folder, torch.get_num_threads())


def local_model(loaded: LoadedModel, *, precision: str, hashed: bool) -> LocalModel:
    """Return a loaded checkpoint as a model that can be asked. ``hashed``: identify it by the bytes of its files."""
    from importlib.metadata import version

    from upbringing.data.tokenizer import tokenizer_sha256
    from upbringing.models.weights import weights_sha256

    return LocalModel(
        network=loaded.model,
        tokenizer=loaded.tokenizer,
        precision=precision,
        weights_sha256=weights_sha256(loaded.folder) if hashed else "",
        tokenizer_sha256=tokenizer_sha256(loaded.folder) if hashed else "",
        versions=tuple((name, version(name)) for name in ("torch", "transformers", "tokenizers")),
    )


def measure(
    model: Model,
    *,
    checkpoint_id: str,
    battery: Sequence[Measure],
    items: Sequence[Item],
    judges: Sequence[Judge],
    on_progress: OnProgress,
    seed: int = 0,
    answers_cache: Path | None = None,
    judged_later: bool = False,
) -> Measured:
    """Return rows and answers of ``battery`` on ``items``.

    Raises ``MeasurementError`` for duplicate ids and for a battery that needs answers judged but has no judge; warns of
    a measure that asks nothing of these items. Stream: ``decode/<item>/<condition>/<sample>``.
    """
    by_id = _checked(items, battery)
    by_measure = {each.id: each.needs(items) for each in battery}
    for name in (name for name, asked in by_measure.items() if not asked):
        warnings.warn(f"{name!r} asks nothing of these {len(items)} items", UpbringingWarning, stacklevel=2)
    needs = list(dict.fromkeys(need for asked in by_measure.values() for need in asked))
    plain = [need for need in needs if isinstance(need, AnswerNeed) and need.is_plain]
    others = [need for need in needs if not isinstance(need, AnswerNeed)]
    if any(each.judged and by_measure[each.id] for each in battery) and not (judges or judged_later):
        raise MeasurementError("the battery needs answers judged, but no judge is declared: add judges: [...]")

    def progress(before: int) -> Callable[[int], None]:
        return lambda done: on_progress(before + done, len(needs))

    asking = Asking(model, by_id, seed, AnswerCache.open(answers_cache, model))
    said, unable = asking.answers(checkpoint_id, plain, progress(0))
    fresh = None if answers_cache is None else answers_cache.parent / FRESH_FOLDER
    read = read_all(model, others, by_id, Seeded(seed, fresh), progress(len(plain)))
    apart = len(plain) + len(others)
    under = answers_under_interventions(asking, checkpoint_id, needs, read.states, answers_cache, progress(apart))
    apart += sum(isinstance(need, AnswerNeed) and need.intervention is not None for need in needs)
    behind = answers_behind_searches(asking, checkpoint_id, needs, answers_cache, progress(apart))
    said, unable = [*said, *under.said, *behind.said], {**unable, **under.unable, **behind.unable}
    found = judged(said, by_id, judges)
    found.update({need: not_asked(need, reason, judges) for need, reason in unable.items()})
    evidence = Evidence(checkpoint_id, by_id, found, read.likelihoods, read.unable, read.states, seed)
    return Measured(
        rows=tuple(row for each in battery for row in each.rows(evidence)),
        answers=tuple(each.answer for each in said),
        conditions=_conditions(needs, battery, evidence, model.template_sha256),
        measures=tuple(each.info() for each in battery),
        accounting=_accounting(said),
        num_cached=asking.num_cached + under.num_cached,
        unasked={(need.item, need.condition): reason for need, reason in unable.items()},
        searched=tuple(behind.records),
    )


def _checked(items: Sequence[Item], battery: Sequence[Measure]) -> dict[str, Item]:
    by_id = {item.id: item for item in items}
    if len(by_id) != len(items):
        raise MeasurementError("two items have the same id: ids must be unique in a study")
    names = [each.id for each in battery]
    if len(set(names)) != len(names):
        raise MeasurementError("two measures have the same id: give one another id")
    return by_id


def _conditions(
    needs: Sequence[Need], battery: Sequence[Measure], evidence: Evidence, template: str | None
) -> tuple[ConditionInfo, ...]:
    found = {need.condition: need.info(template) for need in needs if not isinstance(need, StatesNeed)}
    for each in battery:
        if isinstance(each, NamesConditions):
            found.update({info.id: info for info in each.conditions(evidence, template)})
    return tuple(found.values())


def _accounting(said: Sequence[Spoken]) -> dict[str, int]:
    """Return requested = ok + refused + truncated + malformed + failed."""
    counts = {"requested": len(said), "ok": 0, "refused": 0, "truncated": 0, "malformed": 0, "failed": 0}
    for each in said:
        counts[each.reply.status] += 1
    return counts
