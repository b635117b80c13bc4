"""Every judge sees every answer once; what could not be asked or judged keeps its reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from upbringing.base.errors import FormatError, MeasurementError
from upbringing.base.fingerprint import fingerprint, text_sha256
from upbringing.battery.needs import AnswerNeed, JudgedAnswer
from upbringing.formats.answers import Answer
from upbringing.formats.items import Item, Judge, Judgement
from upbringing.models.answer_tokens import SHORT_CIRCUIT
from upbringing.models.asking import Reply

RESPONSE_CHARACTERS = 24  # of a sha256: an id, not a secret
_REPLY = TypeAdapter(Reply)


@dataclass(frozen=True)
class Spoken:
    """A reply and what it replies to."""

    need: AnswerNeed
    sample: int
    reply: Reply
    answer: Answer

    @property
    def judgeable(self) -> bool:
        """Whether there is an answer that a judge may see."""
        return self.reply.status in ("ok", "truncated", "refused") and self.fixed is None

    @property
    def fixed(self) -> Judgement | None:
        """What is known without a judge: a refusal of the provider or the decoding, and replies without an answer."""
        if self.reply.status == "refused" and self.reply.reason_code == SHORT_CIRCUIT:
            return Judgement(outcome="short-circuit", correct=False, reason_code=SHORT_CIRCUIT)
        if self.reply.status == "refused" and self.reply.reason_code != "empty":
            return Judgement(outcome="refuse", correct=False, reason_code=self.reply.reason_code)
        if self.reply.status in ("malformed", "failed") or self.reply.reason_code == "thought-only":
            return Judgement(outcome=None, reason_code=self.reply.reason_code or self.reply.status)
        return None


def tells_harm(judge: Judge) -> bool:
    """Whether a judge can tell a harmful answer from fluent nonsense; judges that cannot say so themselves."""
    return bool(getattr(judge, "tells_harm", True))


def tells_partial(judge: Judge) -> bool:
    """Whether a judge can tell a refusal in part from a whole one; judges that cannot say so themselves."""
    return bool(getattr(judge, "tells_partial_refusals", True))


def spoken(checkpoint: str, need: AnswerNeed, item: Item, sample: int, reply: Reply) -> Spoken:
    """Return a reply with the answer that is kept beside the rows."""
    name = fingerprint([checkpoint, need.item, need.condition, sample])[:RESPONSE_CHARACTERS]
    shown = "\n".join(f"{message.role}: {message.content}" for message in item.messages) or item.completion_prompt
    answer = Answer(
        response=name,
        checkpoint=checkpoint,
        item=item.id,
        condition=need.condition,
        sample=sample,
        request=item.request,
        prompt=shown or "",
        answer=reply.text,
        thought=reply.thought,
        finish=reply.finish,
        status=reply.status,
        reason_code=reply.reason_code,
        attempts=reply.attempts,
        details=reply.details,
    )
    return Spoken(need, sample, reply, answer)


def spoken_before(need: AnswerNeed, answer: Answer) -> Spoken:
    """Return an answer that was kept as the reply it came from; raises ``FormatError`` for one that is none."""
    try:
        reply = _REPLY.validate_python(
            {
                "text": answer.answer,
                "thought": answer.thought,
                "finish": answer.finish,
                "status": answer.status,
                "reason_code": answer.reason_code,
                "attempts": answer.attempts,
                "details": answer.details,
            }
        )
    except ValidationError as error:
        raise FormatError(f"the answer {answer.response!r} is none that this program keeps: {error}") from None
    return Spoken(need, answer.sample, reply, answer)


def judged(
    said: Sequence[Spoken], items: Mapping[str, Item], judges: Sequence[Judge]
) -> dict[AnswerNeed, list[JudgedAnswer]]:
    """Return what every judge made of every answer. Each judge is called once, with all answers it may see."""
    open_places = [place for place, each in enumerate(said) if each.judgeable]
    verdicts: dict[str, dict[int, Judgement]] = {}
    for judge in judges:
        if judge.id in verdicts:
            raise MeasurementError(f"two judges have the id {judge.id!r}: their verdicts could not be told apart")
        found = judge.judge(
            [items[said[place].need.item] for place in open_places],
            [said[place].answer.answer for place in open_places],
        )
        if len(found) != len(open_places):
            raise MeasurementError(f"the judge {judge.id!r} gave {len(found)} verdicts on {len(open_places)} answers")
        verdicts[judge.id] = dict(zip(open_places, found, strict=True))
    kinds = {judge.id: str(judge.judge_kind) for judge in judges}
    tells = {judge.id: tells_harm(judge) for judge in judges}
    parts = {judge.id: tells_partial(judge) for judge in judges}
    result: dict[AnswerNeed, list[JudgedAnswer]] = {}
    for place, each in enumerate(said):
        fixed = each.fixed
        judgements = {judge.id: fixed if fixed is not None else verdicts[judge.id][place] for judge in judges}
        truncated = each.reply.status == "truncated" and fixed is not None
        entry = JudgedAnswer(
            each.need,
            each.sample,
            each.answer.response,
            text_sha256(each.answer.answer),
            each.reply.finish,
            judgements,
            kinds,
            tells,
            "truncated" if truncated else "scored",
            None if fixed is not None and fixed.outcome is None else each.answer.answer,
            fixed.reason_code if fixed is not None else None,
            parts,
        )
        result.setdefault(each.need, []).append(entry)
    return result


def not_asked(need: AnswerNeed, reason: str, judges: Sequence[Judge]) -> list[JudgedAnswer]:
    """Return the entries of an answer that this model could not be asked for."""
    judgement = Judgement(outcome=None, reason_code=reason)
    return [
        JudgedAnswer(
            need,
            sample,
            None,
            None,
            "stop",
            {judge.id: judgement for judge in judges},
            {judge.id: str(judge.judge_kind) for judge in judges},
            {judge.id: tells_harm(judge) for judge in judges},
            "not-measurable",
            None,
            reason,
            {judge.id: tells_partial(judge) for judge in judges},
        )
        for sample in range(need.decoding.samples)
    ]
