"""Answers behind searched suffixes: each is found on the very checkpoint that is asked, and kept with how."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from upbringing.base.errors import UpbringingWarning
from upbringing.base.files import write_json_atomic
from upbringing.base.fingerprint import fingerprint
from upbringing.base.streams import stream
from upbringing.battery.answering import Asking
from upbringing.battery.cache import plain_prompt
from upbringing.battery.judging import Spoken
from upbringing.battery.needs import AnswerNeed, Need
from upbringing.battery.suffix_searches import SuffixSearch
from upbringing.battery.unasked import why_unasked
from upbringing.formats.items import Item
from upbringing.models.asking import Elicitation, Model, Prompt
from upbringing.models.local import LocalModel
from upbringing.models.openvino import OpenVinoModel
from upbringing.models.suffix_texts import FoundSuffix, Wanted, find_suffix

SEARCH_VERSION = 1  # raise it when the same search would find another suffix
CANNOT_SEARCH, NO_PROMPTS = "cannot-search", "no-training-prompts"


@dataclass(frozen=True)
class SearchRecord:
    """A searched suffix as it is kept beside the rows.

    ``item``: the request that it was found for, ``None`` for a universal one; ``fitted_to``: all requests whose loss it
    lowered. ``losses`` (nats per target token): of the initial suffix, then of each step's.
    """

    condition: str
    item: str | None
    fitted_to: tuple[str, ...]
    settings: Mapping[str, Any]
    seed: int
    suffix: str
    tokens: tuple[int, ...]
    loss: float
    losses: tuple[float, ...]
    num_evaluations: int


@dataclass
class Behind:
    """Answers behind searched suffixes; ``unable``: what could not be asked, with the reason."""

    said: list[Spoken] = field(default_factory=list)
    unable: dict[AnswerNeed, str] = field(default_factory=dict)
    records: list[SearchRecord] = field(default_factory=list)
    num_cached: int = 0


_RECORD = TypeAdapter(SearchRecord)
Searches = dict[tuple[SuffixSearch, Elicitation], list[AnswerNeed]]


def searches_of(needs: Sequence[Need]) -> Searches:
    """Return the needs behind each suffix that is to be searched, which differs by how its prompts are put."""
    groups: Searches = {}
    for need in needs:
        if isinstance(need, AnswerNeed) and need.search is not None:
            groups.setdefault((need.search, need.elicitation), []).append(need)
    return groups


def answers_behind_searches(
    plain: Asking, checkpoint: str, needs: Sequence[Need], cache: Path | None, on_done: Callable[[int], None]
) -> Behind:
    """Return the answers of ``needs`` that have a search, asked as ``plain`` asks once all suffixes are found.

    ``cache``: a folder in which found suffixes are kept until the measurement is done. Stream:
    ``suffix-search/<label>/<elicitation>``, and the item behind it for a suffix of its own.
    """
    behind = Behind()
    found: dict[AnswerNeed, AnswerNeed] = {}  # with the suffix: without
    done = 0
    for (search, elicitation), group in searches_of(needs).items():
        searching = Searching(plain.model, plain.items, plain.seed, search, elicitation, group[0].condition)

        def progress(steps: int, before: int = done, num: int = len(group), total: int = search.settings.steps) -> None:
            on_done(before + num * steps // max(total, 1))

        record = searching.run(cache, progress)
        if isinstance(record, str):
            behind.unable.update(dict.fromkeys(group, record))
        else:
            behind.records.append(record)
            found.update({replace(need, suffix=record.suffix): need for need in group})
        done += len(group)
        on_done(done)
    said, unable = plain.answers(checkpoint, list(found), lambda _: None)
    behind.said += [replace(each, need=found[each.need]) for each in said]
    behind.unable.update({found[need]: reason for need, reason in unable.items()})
    return behind


@dataclass(frozen=True)
class Searching:
    """One search on one model."""

    model: Model
    items: Mapping[str, Item]
    seed: int
    search: SuffixSearch
    elicitation: Elicitation
    condition: str

    def run(self, cache: Path | None, on_step: Callable[[int], None]) -> SearchRecord | str:
        """Return what was found, from ``cache`` if it is there, or the reason why nothing can be."""
        local = self.model.local if isinstance(self.model, OpenVinoModel) else self.model
        if not isinstance(local, LocalModel):
            return CANNOT_SEARCH
        if not self.search.items:
            return NO_PROMPTS
        settings = self.search.settings
        wanted = [self._wanted(self.items[name]) for name in self.search.items]
        reasons = [why_unasked(local, each.behind(settings.initial)) for each in wanted]
        if any(reasons):
            return next(reason for reason in reasons if reason is not None)
        path = None if cache is None else cache / f"suffix-{self._key(local, wanted)}.json"
        known = _known(path)
        if known is not None:
            return known
        found = find_suffix(local, wanted, settings, stream(self.seed, *self._stream), on_step)
        if isinstance(found, str):
            return found
        record = self._record(found)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json_atomic(path, asdict(record))
        return record

    @property
    def _own(self) -> str | None:
        return self.search.items[0] if self.search.settings.scope == "per_prompt" else None

    @property
    def _stream(self) -> tuple[str, ...]:
        """Names of the random stream: the same at every checkpoint."""
        names = ("suffix-search", self.search.label, self.elicitation)
        return names if self._own is None else (*names, self._own)

    def _wanted(self, item: Item) -> Wanted:
        def behind(suffix: str) -> Prompt:
            return replace(AnswerNeed(item.id, elicitation=self.elicitation, suffix=suffix).prompt(item), name="")

        return Wanted(behind, self.search.settings.target or item.compliance_prefix or "")

    def _key(self, local: LocalModel, wanted: Sequence[Wanted]) -> str:
        settings = self.search.settings
        asked = [[plain_prompt(each.behind(settings.initial)), each.target] for each in wanted]
        plain = {"version": SEARCH_VERSION, "model": dict(local.identity), "seed": self.seed, "asked": asked}
        return fingerprint({**plain, "settings": settings.model_dump(mode="json"), "stream": list(self._stream)})

    def _record(self, found: FoundSuffix) -> SearchRecord:
        searched = found.searched
        return SearchRecord(
            condition=self.condition,
            item=self._own,
            fitted_to=self.search.items,
            settings=self.search.settings.model_dump(mode="json"),
            seed=self.seed,
            suffix=found.text,
            tokens=searched.suffix,
            loss=searched.loss,
            losses=tuple(np.round(searched.losses, 6).tolist()),
            num_evaluations=searched.num_evaluations,
        )


def _known(path: Path | None) -> SearchRecord | None:
    if path is None or not path.exists():
        return None
    try:
        return _RECORD.validate_json(path.read_bytes())
    except (ValidationError, ValueError, OSError):
        warnings.warn(f"{path.name} is torn: its suffix is searched again", UpbringingWarning, stacklevel=2)
        return None
