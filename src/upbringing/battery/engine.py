"""One pass over a checkpoint for a whole battery: prompts rendered once, one answer for all judges and measures, one
forward pass for all likelihoods. What a measure asks for is collected first; what two measures ask for is asked once.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow as pa

from upbringing.base.errors import MeasurementError, UpbringingWarning
from upbringing.battery.cache import AnswerCache, batch_key
from upbringing.battery.judging import Spoken, judged, not_asked, spoken
from upbringing.battery.measure import Measure
from upbringing.battery.needs import AnswerNeed, Evidence, LikelihoodNeed, Need
from upbringing.formats.answers import Answer
from upbringing.formats.items import Item, Judge
from upbringing.formats.record import LearnedTokens
from upbringing.formats.rows import Row, rows_table
from upbringing.formats.tree import ConditionInfo, MeasureInfo
from upbringing.models.asking import Model, Prompt, Reply
from upbringing.models.loading import LoadedModel
from upbringing.models.local import LocalModel
from upbringing.models.openvino import Engine, OpenVinoModel

BATTERY_VERSION = 4  # raise it when a number can change for the same model and items

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True)
class Measured:
    """What a battery found on one checkpoint. ``accounting``: how the requests ended, by status.

    ``num_cached``: answers that were not asked for again. ``unasked``: the needs that this model could not be asked
    for, as (item, condition), each with its reason.
    """

    rows: tuple[Row, ...]
    answers: tuple[Answer, ...]
    conditions: tuple[ConditionInfo, ...]
    measures: tuple[MeasureInfo, ...] = ()
    accounting: Mapping[str, int] = field(default_factory=dict)
    num_cached: int = 0
    unasked: Mapping[tuple[str, str], str] = field(default_factory=dict)

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
    answer_needs = [need for need in needs if isinstance(need, AnswerNeed)]
    likelihood_needs = [need for need in needs if isinstance(need, LikelihoodNeed)]
    if any(each.judged and by_measure[each.id] for each in battery) and not (judges or judged_later):
        raise MeasurementError("the battery needs answers judged, but no judge is declared: add judges: [...]")
    total = len(answer_needs) + len(likelihood_needs)
    asking = _Asking(model, by_id, seed, AnswerCache.open(answers_cache, model))
    said, unable = asking.answers(checkpoint_id, answer_needs, lambda done: on_progress(done, total))
    likelihoods, unscored = _likelihoods(
        model, likelihood_needs, by_id, lambda done: on_progress(len(answer_needs) + done, total)
    )
    found = judged(said, by_id, judges)
    found.update({need: not_asked(need, reason, judges) for need, reason in unable.items()})
    evidence = Evidence(checkpoint_id, by_id, found, likelihoods, unscored)
    return Measured(
        rows=tuple(row for each in battery for row in each.rows(evidence)),
        answers=tuple(each.answer for each in said),
        conditions=_conditions(needs, model.template_sha256),
        measures=tuple(each.info() for each in battery),
        accounting=_accounting(said),
        num_cached=asking.num_cached,
        unasked={(need.item, need.condition): reason for need, reason in unable.items()},
    )


def _checked(items: Sequence[Item], battery: Sequence[Measure]) -> dict[str, Item]:
    by_id = {item.id: item for item in items}
    if len(by_id) != len(items):
        raise MeasurementError("two items have the same id: ids must be unique in a study")
    names = [each.id for each in battery]
    if len(set(names)) != len(names):
        raise MeasurementError("two measures have the same id: give one another id")
    return by_id


Job = list[tuple[AnswerNeed, Prompt]]


class _Asking:
    """Asks a model for answers, batch by batch, and keeps count."""

    def __init__(self, model: Model, items: Mapping[str, Item], seed: int, cache: AnswerCache) -> None:
        self.model, self.items, self.seed, self.cache = model, items, seed, cache
        self.num_cached = 0

    def answers(
        self, checkpoint: str, needs: Sequence[AnswerNeed], on_progress: Callable[[int], None]
    ) -> tuple[list[Spoken], dict[AnswerNeed, str]]:
        """Return all replies, and for needs that cannot be asked the reason.

        Conditions never share a batch: adding a measure re-forms no batch of another.
        """
        prompts = {need: need.prompt(self.items[need.item]) for need in needs}
        lacking = {decoding: self.model.undecodable(decoding) for decoding in {need.decoding for need in needs}}
        unable = {
            need: reason
            for need in needs
            if (reason := lacking[need.decoding] or self.model.unanswerable(prompts[need])) is not None
        }
        groups: dict[str, list[AnswerNeed]] = {}
        for need in needs:
            if need not in unable:
                groups.setdefault(need.condition, []).append(need)
        jobs = [
            [(group[place], prompts[group[place]]) for place in batch]
            for group in groups.values()
            for batch in self.model.batches([prompts[need] for need in group], group[0].decoding)
        ]
        replies: dict[AnswerNeed, list[Reply]] = {}
        done = len(unable)
        for job, found in zip(jobs, self._all_batches(jobs), strict=True):
            replies.update({need: samples for (need, _), samples in zip(job, found, strict=True)})
            done += len(job)
            on_progress(done)
        said = [
            spoken(checkpoint, need, self.items[need.item], sample, reply)
            for need in needs
            if need not in unable
            for sample, reply in enumerate(replies[need])
        ]
        return said, unable

    def _all_batches(self, jobs: Sequence[Job]) -> Iterator[list[list[Reply]]]:
        """Yield the replies of each job in order; the first failure stops what has not begun."""
        if self.model.side_by_side == 1:
            yield from map(self._batch, jobs)
            return
        with ThreadPoolExecutor(max_workers=self.model.side_by_side) as pool:
            futures = [pool.submit(self._batch, job) for job in jobs]
            try:
                for future in futures:
                    yield future.result()
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _batch(self, job: Job) -> list[list[Reply]]:
        decoding, prompts = job[0][0].decoding, [prompt for _, prompt in job]
        key = batch_key(self.model, prompts, decoding, self.seed)
        known = self.cache.get(key)
        if known is not None:
            self.num_cached += sum(len(samples) for samples in known)
            return known
        found = self.model.answer(prompts, decoding, self.seed)
        self.cache.put(key, found)
        return found


Likelihoods = dict[LikelihoodNeed, Sequence[float]]


def _likelihoods(
    model: Model, needs: Sequence[LikelihoodNeed], items: Mapping[str, Item], on_progress: Callable[[int], None]
) -> tuple[Likelihoods, dict[LikelihoodNeed, str]]:
    if not model.scores:
        return {}, dict.fromkeys(needs, "no-likelihood")
    prompts = {need: need.asked(items[need.item]) for need in needs}
    lacking = {token: model.lacks(token) for token in {need.token for need in needs} if token is not None}
    unable = {
        need: reason
        for need in needs
        if (reason := lacking.get(need.token or "") or model.unanswerable(prompts[need])) is not None
    }
    asked = [need for need in needs if need not in unable]
    if not asked:
        return {}, unable
    scale = len(needs) / len(asked)
    scores = model.score(
        [(prompts[need], need.continuations) for need in asked],
        lambda done, total: on_progress(round(done / total * len(asked) * scale)),
    )
    return dict(zip(asked, scores, strict=True)), unable


def _conditions(needs: Sequence[Need], template: str | None) -> tuple[ConditionInfo, ...]:
    return tuple({need.condition: need.info(template) for need in needs}.values())


def _accounting(said: Sequence[Spoken]) -> dict[str, int]:
    """Return requested = ok + refused + truncated + malformed + failed."""
    counts = {"requested": len(said), "ok": 0, "refused": 0, "truncated": 0, "malformed": 0, "failed": 0}
    for each in said:
        counts[each.reply.status] += 1
    return counts
