"""Streams of prompts: what a stage that learns from its own answers asks itself, in the order in which it does.

Epochs are unrolled, so the order is a function of seed and epoch and resuming is an offset. (The sampler of TRL's
trainers restarts its first epoch's order after a resume in a later one.)
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from upbringing.base.errors import DataError, IntegrityError
from upbringing.base.text_reading import TextReader
from upbringing.data.documents import Chat, Preference, TrainingText, Turn
from upbringing.data.pairs import epoch_order
from upbringing.data.rendering import open_tokenizer, render_prompts
from upbringing.data.spelled_tokens import write_spelled
from upbringing.data.stream import StreamInfo, StreamPlan, read_info, write_info
from upbringing.data.tally import TalliedPart, tallied
from upbringing.data.worlds.oracle import OracleJudge
from upbringing.formats.items import Item

PROMPTS_NAME, ORDER_NAME = "prompts.json", "order.npy"


@dataclass(frozen=True)
class AskedPrompt:
    """A prompt as token ids, ready for the assistant to speak. ``item``: what an exact judge needs to know of it."""

    ids: tuple[int, ...]
    item: Item | None


@dataclass(frozen=True)
class PromptStream:
    """A finished stream of prompts. ``order``: which of ``prompts`` stands at each place, shape ``(places,)``.

    ``info.batch_size`` counts prompts per update. ``judge``: the exact judge of their world, if they have one.
    """

    info: StreamInfo
    prompts: tuple[AskedPrompt, ...]
    order: NDArray[np.int32]
    judge: OracleJudge | None

    def at(self, place: int) -> AskedPrompt:
        """Return the prompt at ``place``, counted over the whole stage."""
        return self.prompts[int(self.order[place])]


@dataclass(frozen=True)
class Exactness:
    """How a world judges: ``item_of`` says what a text asks, ``None`` for what the judge knows nothing of."""

    item_of: Callable[[TrainingText], Item | None]
    judge: OracleJudge


def build_prompt_stream(
    plan: StreamPlan,
    texts: Sequence[TrainingText],
    name: str,
    tokenizer: Path,
    folder: Path,
    exactness: Exactness | None = None,
) -> StreamInfo:
    """Write the prompts of ``texts`` in the order of ``plan`` into ``folder`` and return what they turned out to be.

    Of a chat that is everything before its last reply, of a pair its prompt. The plan has one part with
    ``num_windows`` prompts; its ``context`` is the longest prompt that leaves room for an answer. Draws from the
    streams ``epoch`` of the plan's seed. Raises ``DataError`` for documents, empty data and prompts that are too long.
    """
    if not texts:
        raise DataError(f"the data {name!r} is empty: there is nothing to ask")
    plain = _plain_prompts(plan, texts, name, tokenizer, folder, exactness)
    num_places = plan.parts[0].num_windows or 0
    order = np.array(epoch_order(plan.seed, len(texts), num_places), dtype=np.int32)
    judge = None if exactness is None else _plain_judge(exactness.judge)
    chain = _chain(plain, judge, order, plan.batch_size)
    np.save(folder / ORDER_NAME, order, allow_pickle=False)
    (folder / PROMPTS_NAME).write_text(json.dumps({"prompts": plain, "judge": judge}, sort_keys=True), encoding="utf-8")
    ((key, _),) = plan.parts[0].shares
    lengths = [len(each["ids"]) for each in plain]
    tally = tallied(
        [{(texts[index].source, None): (lengths[index], 0, 1)} for index in order],
        plan.batch_size,
        (TalliedPart(num_places, {key: 1.0}),),
        {key: [text.source for text in texts]},
    )
    tally.write(folder)
    num_tokens = sum(lengths[index] for index in order)
    info = StreamInfo(
        sha256=chain[-1],
        num_windows=num_places,
        context=plan.context,
        batch_size=plan.batch_size,
        tokens=num_tokens,
        text_tokens=num_tokens,
        supervised_tokens=0,
        examples=num_places,
        sources=tally.sources(len(chain)),
        chain=chain,
    )
    write_info(info, folder)
    return info


def _plain_prompts(
    plan: StreamPlan,
    texts: Sequence[TrainingText],
    name: str,
    tokenizer: Path,
    folder: Path,
    exactness: Exactness | None,
) -> list[dict[str, Any]]:
    """Return every prompt as ids with its item, as plain JSON values; what they spell is counted in ``folder``."""
    ((key, _),) = plan.parts[0].shares
    turns = [_turns(text, name) for text in texts]
    opened, marks = open_tokenizer(tokenizer), plan.marks.get(key, ())
    rendered = render_prompts(turns, opened, marks)
    write_spelled({name: [TextReader(opened, marks).count(turn.content for each in turns for turn in each)]}, folder)
    plain = []
    for number, (text, ids) in enumerate(zip(texts, rendered, strict=True), start=1):
        if len(ids) > plan.context:
            raise DataError(
                f"prompt {number} of {name!r} has {len(ids)} tokens, the stage's context leaves room for "
                f"{plan.context} beside an answer: raise context or lower max_new_tokens"
            )
        item = None if exactness is None else exactness.item_of(text)
        plain.append({"ids": ids, "item": None if item is None else item.model_dump(mode="json")})
    return plain


def open_prompt_stream(folder: Path) -> PromptStream:
    """Return the stream of prompts in ``folder``; raises ``IntegrityError`` if it cannot be read."""
    try:
        plain = json.loads((folder / PROMPTS_NAME).read_bytes())
        prompts = tuple(
            AskedPrompt(tuple(each["ids"]), None if each["item"] is None else Item.model_validate(each["item"]))
            for each in plain["prompts"]
        )
        judge = plain["judge"]
        found = None if judge is None else OracleJudge(frozenset(judge["compounds"]), frozenset(judge["outcomes"]))
        order = np.load(folder / ORDER_NAME, allow_pickle=False)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise IntegrityError(f"{folder / PROMPTS_NAME} cannot be read ({type(error).__name__})") from error
    return PromptStream(read_info(folder), prompts, order, found)


def _turns(text: TrainingText, name: str) -> tuple[Turn, ...]:
    if isinstance(text, Preference):
        return text.prompt
    if not isinstance(text, Chat):
        raise DataError(f"the data {name!r} holds documents: prompts are taken from chats or preference pairs")
    turns = text.turns[:-1] if text.turns and text.turns[-1].role == "assistant" else text.turns
    if not turns:
        raise DataError(f"the data {name!r} holds a chat in which nothing is asked")
    return turns


def _plain_judge(judge: OracleJudge) -> dict[str, list[str]]:
    return {"compounds": sorted(judge.compounds), "outcomes": sorted(judge.outcomes)}


def _chain(
    plain: Sequence[Mapping[str, Any]], judge: Mapping[str, Any] | None, order: NDArray[np.int32], batch_size: int
) -> tuple[str, ...]:
    """Return the hash of everything up to each update: what is asked, and what decides the worth of an answer."""
    digests = [hashlib.sha256(json.dumps(each, sort_keys=True).encode()).digest() for each in plain]
    digest, chain = hashlib.sha256(json.dumps(judge, sort_keys=True).encode()), []
    for begin in range(0, len(order), batch_size):
        for index in order[begin : begin + batch_size]:
            digest.update(digests[int(index)])
        chain.append(digest.hexdigest())
    return tuple(chain)
