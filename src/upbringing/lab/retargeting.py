"""Retarget: the same prompts, other completions. A teacher answers every prompt of a file of chats anew.

What a teacher did not answer is reported and left out, never invented. Every answer is kept as soon as it is there, so
that the same command goes on where it stopped. What a row says besides (its metadata, its component of the file) stays
with it, but for what is about the replies that are gone.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from upbringing.base.errors import DataError, IntegrityError, StudyError
from upbringing.base.files import write_bytes_atomic, write_json_atomic
from upbringing.base.fingerprint import canonical_json, file_sha256, text_sha256
from upbringing.battery.cache import AnswerCache, batch_key, is_good
from upbringing.battery.unasked import why_unasked
from upbringing.data.documents import Chat, Turn
from upbringing.data.file_rows import SCORES, file_rows
from upbringing.data.sources import FileSource, read_file_source
from upbringing.formats.items import Message
from upbringing.lab.teachers import OpenTeacher, open_teacher
from upbringing.models.asking import Model, Prompt, Reply
from upbringing.models.budget import CapReachedError
from upbringing.models.decoding import Decoding, Greedy

DEFAULT_MAX_TOKENS = 256
CUT_OFF = "cut-off"  # an answer that ran into the length limit is not what the teacher says
EMPTY = "empty"
REWRITTEN = ("messages", "prompt", "completion", "teacher")
OF_OLD_REPLIES = (*SCORES, "harm_lower_bound", "chosen", "rejected")  # what is said of a reply does not hold of another
Progress = Callable[[int, int], None]  # replies that are there, replies that are asked for


def no_progress(done: int, total: int) -> None:
    """Show nothing."""


@dataclass(frozen=True)
class Unanswered:
    """A chat that is not in the output. ``row``: its row in the data, from 1; ``turn``: which reply, from 1."""

    row: int
    turn: int
    reason: str


@dataclass(frozen=True)
class Retargeted:
    """What was written, who wrote it, and what was not answered. ``prompts_sha256``: of the prompts in the output."""

    output: Path
    report: Path
    teacher: str
    num_chats: int
    num_answered: int
    unanswered: tuple[Unanswered, ...]
    prompts_sha256: str


def retarget(
    data: Path,
    teacher: Path,
    output: Path,
    *,
    max_tokens: int = DEFAULT_MAX_TOKENS,
    on_progress: Progress = no_progress,
) -> Retargeted:
    """Write to ``output`` the chats of ``data`` with every reply answered anew by ``teacher``, greedily.

    ``data``: in the format that its name says. ``teacher``: a checkpoint's folder or the YAML file of an
    endpoint. Each reply is asked for after the teacher's own earlier replies; system and user turns stay as they are,
    which is verified. Other columns stay with their row, but for scores of harm, which are of the old replies. Beside
    the output stand a report (``.retarget.json``) and the folder of replies (``.replies``) from which a repeated run
    goes on. Raises ``DataError`` for what is no chat and ``StudyError`` where ``output`` is
    there and came about otherwise.
    """
    chats, columns = _chats(data), _columns(data)
    report, replies = output.with_suffix(".retarget.json"), output.with_suffix(".replies")
    if output.resolve() == data.resolve():
        raise StudyError(f"{output} is the data: name another output")
    opened = open_teacher(teacher, replies)
    _refuse_to_overwrite(output, report, data, opened.name)
    kept = AnswerCache.open(replies, opened.model, keeps=_is_final)
    asking = _Asking(opened.model, Greedy(max_tokens=max_tokens), kept, on_progress)
    answered, unanswered = _answered(chats, asking)
    _verify(chats, answered)
    lines = [_line(turns, opened.name, columns[row - 1]) for row, turns in sorted(answered.items())]
    result = Retargeted(
        output=output,
        report=report,
        teacher=opened.name,
        num_chats=len(chats),
        num_answered=len(answered),
        unanswered=tuple(sorted(unanswered, key=lambda each: each.row)),
        prompts_sha256=prompts_sha256([turns for _, turns in sorted(answered.items())]),
    )
    write_json_atomic(report, _report(result, data, chats, opened, asking))  # first: an output without it is foreign
    write_bytes_atomic(output, "".join(lines).encode("utf-8"))
    return result


def _refuse_to_overwrite(output: Path, report: Path, data: Path, teacher: str) -> None:
    """Raise ``StudyError`` where ``output`` was not written from the same data by the same teacher."""
    if not output.exists():
        return
    try:
        before = json.loads(report.read_bytes())
        same = before["data"]["sha256"] == file_sha256(data) and before["teacher"]["name"] == teacher
    except (OSError, ValueError, KeyError, TypeError):
        same = False
    if not same:
        raise StudyError(f"{output} is there already, and not from this data by {teacher}: name another output")


def _is_final(reply: Reply) -> bool:
    """Whether asking again would give the same: an answer cut off at this length is, a failure is not."""
    return is_good(reply) or reply.status == "truncated"


def prompts_sha256(chats: Sequence[Sequence[Turn]]) -> str:
    """Return the hash of everything but the replies: two files with the same hash have the same prompts."""
    return text_sha256(canonical_json([[[turn.role, turn.content] for turn in _asked(turns)] for turns in chats]))


def _asked(turns: Sequence[Turn]) -> list[Turn]:
    return [turn for turn in turns if turn.role != "assistant"]


def _chats(data: Path) -> list[tuple[Turn, ...]]:
    if not data.is_file():
        raise DataError(f"{data} does not exist: name a file of chats")
    texts = read_file_source(FileSource(path=data.name), data.parent).texts
    chats = []
    for row, text in enumerate(texts, start=1):
        if not isinstance(text, Chat):
            raise DataError(f"{data.name} row {row} is no chat: only messages, or prompt with completion, have replies")
        roles = [turn.role for turn in text.turns]
        if roles[-1] != "assistant" or "user" not in roles[: roles.index("assistant")]:
            raise DataError(
                f"{data.name} row {row}: a chat begins with a question and ends with a reply, found {roles}"
            )
        chats.append(text.turns)
    return chats


def _columns(data: Path) -> list[dict[str, Any]]:
    """Return of each row the columns that stay; raises ``DataError`` for one that JSON Lines cannot hold."""
    found = []
    for number, row in enumerate(file_rows(data, FileSource(path=data.name).format), start=1):
        kept = {name: value for name, value in row.items() if name not in (*REWRITTEN, *OF_OLD_REPLIES)}
        for name, value in kept.items():
            try:
                json.dumps(value, allow_nan=False)
            except (TypeError, ValueError) as error:
                raise DataError(
                    f"{data.name} row {number}: column {name!r} cannot be written as JSON ({error}): "
                    "make it text, or leave it out of the data"
                ) from None
        found.append(kept)
    return found


@dataclass(frozen=True)
class _Asking:
    """Asks a teacher, batch by batch; what is known already is not asked again."""

    model: Model
    decoding: Decoding
    kept: AnswerCache
    on_progress: Progress

    def replies(self, prompts: Sequence[Prompt]) -> list[Reply]:
        """Return one reply per prompt; a prompt that cannot be asked, or that a cap forbids, has failed."""
        found: dict[int, Reply] = {}
        for place, prompt in enumerate(prompts):
            if (reason := why_unasked(self.model, prompt)) is not None:
                found[place] = Reply(text="", status="failed", reason_code=reason)
        able = [place for place in range(len(prompts)) if place not in found]
        batches = [
            [able[index] for index in batch]
            for batch in self.model.batches([prompts[place] for place in able], self.decoding)
        ]
        asked = [[prompts[place] for place in batch] for batch in batches]
        for batch, said in zip(batches, self._side_by_side(asked), strict=True):
            found.update(zip(batch, said, strict=True))
            self.on_progress(len(found), len(prompts))
        return [found[place] for place in range(len(prompts))]

    def _side_by_side(self, batches: Sequence[Sequence[Prompt]]) -> Iterator[list[Reply]]:
        if self.model.side_by_side == 1:
            yield from map(self._batch, batches)
            return
        with ThreadPoolExecutor(max_workers=self.model.side_by_side) as pool:
            futures = [pool.submit(self._batch, batch) for batch in batches]
            try:
                for future in futures:
                    yield future.result()
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _batch(self, prompts: Sequence[Prompt]) -> list[Reply]:
        key = batch_key(self.model, prompts, self.decoding, 0)
        said = self.kept.get(key)
        if said is None:
            try:
                said = self.model.answer(prompts, self.decoding, 0)
            except CapReachedError:
                return [Reply(text="", status="failed", reason_code="spend-cap") for _ in prompts]
            self.kept.put(key, said)
        return [samples[0] for samples in said]


def _answered(chats: Sequence[Sequence[Turn]], asking: _Asking) -> tuple[dict[int, tuple[Turn, ...]], list[Unanswered]]:
    """Return the new turns of every chat (row to turns) whose replies were all given, and the chats without."""
    written: dict[int, list[Turn]] = {row: [] for row in range(1, len(chats) + 1)}
    left = {row: list(turns) for row, turns in enumerate(chats, start=1)}
    unanswered: list[Unanswered] = []
    while any(left.values()):
        waiting = []
        for row, turns in left.items():
            while turns and turns[0].role != "assistant":
                written[row].append(turns.pop(0))
            if turns:
                waiting.append(row)
        for row, reply in zip(waiting, asking.replies([_prompt(written[row]) for row in waiting]), strict=True):
            reason = _why_none(reply)
            if reason is None:
                written[row].append(Turn("assistant", reply.text.strip()))
                left[row].pop(0)
            else:
                turn = sum(each.role == "assistant" for each in written.pop(row)) + 1
                unanswered.append(Unanswered(row, turn, reason))
                del left[row]
    return {row: tuple(turns) for row, turns in written.items()}, unanswered


def _prompt(turns: Sequence[Turn]) -> Prompt:
    messages = tuple(Message(role=turn.role, content=turn.content) for turn in turns)
    plain = canonical_json([[message.role, message.content] for message in messages])
    return Prompt(name=f"retarget/{text_sha256(plain)}", messages=messages)


def _why_none(reply: Reply) -> str | None:
    """Return why a reply cannot be learned from, ``None`` if it can."""
    if reply.status != "ok":
        return reply.reason_code or reply.status
    if reply.finish == "length":
        return CUT_OFF
    return None if reply.text.strip() else EMPTY


def _verify(chats: Sequence[Sequence[Turn]], answered: dict[int, tuple[Turn, ...]]) -> None:
    """Raise ``IntegrityError`` where an answered chat asks anything else, or in another order, than the data."""
    for row, turns in answered.items():
        source = chats[row - 1]
        if [turn.role for turn in turns] != [turn.role for turn in source] or _asked(turns) != _asked(source):
            raise IntegrityError(f"row {row}: the prompts of the retargeted chat are not those of the data")


def _line(turns: Sequence[Turn], teacher: str, columns: Mapping[str, Any]) -> str:
    messages = [{"role": turn.role, "content": turn.content} for turn in turns]
    return json.dumps({"messages": messages, "teacher": teacher, **columns}, ensure_ascii=False) + "\n"


def _report(
    result: Retargeted, data: Path, chats: Sequence[Sequence[Turn]], opened: OpenTeacher, asking: _Asking
) -> dict[str, object]:
    budget = opened.budget
    return {
        "data": {"file": data.name, "sha256": file_sha256(data), "prompts_sha256": prompts_sha256(chats)},
        "teacher": {"name": opened.name, **dict(opened.model.identity)},
        "decoding": asking.decoding.model_dump(mode="json"),
        "chats": result.num_chats,
        "answered": result.num_answered,
        "unanswered": [{"row": each.row, "turn": each.turn, "reason": each.reason} for each in result.unanswered],
        "reasons": dict(sorted(Counter(each.reason for each in result.unanswered).items())),
        "prompts_sha256": result.prompts_sha256,
        "same_prompts": result.prompts_sha256 == prompts_sha256(chats),
        "calls": None if budget is None else budget.num_calls,
        "spent_usd": None if budget is None or budget.price is None else budget.spent_usd,
    }
