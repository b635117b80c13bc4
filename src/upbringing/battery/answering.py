"""Answers, batch by batch: what was asked before comes from the cache, what cannot be asked keeps its reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from upbringing.base.errors import MeasurementError
from upbringing.battery.cache import AnswerCache, batch_key
from upbringing.battery.judging import Spoken, spoken
from upbringing.battery.needs import AnswerNeed
from upbringing.battery.unasked import why_unasked
from upbringing.formats.items import Item
from upbringing.models.asking import Model, Prompt, Reply

Job = list[tuple[AnswerNeed, Prompt]]


def _refuse_one_name_for_two(groups: Mapping[str, Sequence[AnswerNeed]]) -> None:
    """Raise ``MeasurementError`` where a condition would hold answers that are decoded differently."""
    for condition, group in groups.items():
        other = next((need.decoding for need in group if need.decoding != group[0].decoding), None)
        if other is not None:
            first, second = (each.model_dump() for each in (group[0].decoding, other))
            differing = ", ".join(sorted(name for name in first if first[name] != second.get(name)))
            raise MeasurementError(
                f"two decodings of the battery, which differ in {differing}, are both called {condition!r}: their "
                "answers could not be told apart; give both the same settings, or ask them in two studies"
            )


class Asking:
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
            if (reason := lacking[need.decoding] or why_unasked(self.model, prompts[need])) is not None
        }
        groups: dict[str, list[AnswerNeed]] = {}
        for need in needs:
            if need not in unable:
                groups.setdefault(need.condition, []).append(need)
        _refuse_one_name_for_two(groups)
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
