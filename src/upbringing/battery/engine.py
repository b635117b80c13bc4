"""One pass over a checkpoint for a whole battery: prompts rendered once, one answer for all judges, one forward
pass for all likelihoods.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from upbringing.base.errors import DataError, MeasurementError
from upbringing.base.fingerprint import fingerprint, text_sha256
from upbringing.battery.measure import Measure
from upbringing.battery.needs import AnswerNeed, Evidence, JudgedAnswer, LikelihoodNeed
from upbringing.formats.answers import Answer
from upbringing.formats.items import Item, Judge, Message
from upbringing.formats.rows import Row
from upbringing.formats.tree import ConditionInfo
from upbringing.models.generation import Generated, Prompt, generate
from upbringing.models.loading import LoadedModel
from upbringing.models.scoring import Scoring, score

BATTERY_VERSION = 1  # raise it when a number can change for the same model and items
RESPONSE_CHARACTERS = 24  # of a sha256: an id, not a secret
THOUGHT_END = "</think>"


@dataclass(frozen=True)
class Measured:
    """What a battery found on one checkpoint."""

    rows: tuple[Row, ...]
    answers: tuple[Answer, ...]
    conditions: tuple[ConditionInfo, ...]


def measure_checkpoint(
    loaded: LoadedModel,
    *,
    checkpoint: str,
    battery: Sequence[Measure],
    items: Sequence[Item],
    judges: Sequence[Judge],
    precision: str,
    seed: int,
    on_progress: Callable[[int, int], None],
) -> Measured:
    """Return rows and answers of ``battery`` on the items. ``seed`` seeds sampled decoding only.

    Raises ``MeasurementError`` for duplicate item ids or a battery that needs answers but has no judge.
    """
    by_id = {item.id: item for item in items}
    if len(by_id) != len(items):
        raise MeasurementError("two items have the same id: ids must be unique in a study")
    needs = list(dict.fromkeys(need for measure in battery for need in measure.needs(items)))
    answer_needs = [need for need in needs if isinstance(need, AnswerNeed)]
    likelihood_needs = [need for need in needs if isinstance(need, LikelihoodNeed)]
    if answer_needs and not judges:
        raise MeasurementError("the battery needs answers judged, but no judge is declared: add judges: [...]")
    total = len(answer_needs) + len(likelihood_needs)
    renderer = _Renderer(loaded.tokenizer)
    generated = _answers(loaded, renderer, answer_needs, by_id, precision, seed, lambda done: on_progress(done, total))
    likelihoods = _likelihoods(
        loaded, renderer, likelihood_needs, by_id, precision, lambda done: on_progress(len(answer_needs) + done, total)
    )
    answers, judged = _judged(checkpoint, generated, by_id, judges, renderer)
    evidence = Evidence(checkpoint, by_id, judged, likelihoods)
    rows = tuple(row for measure in battery for row in measure.rows(evidence))
    return Measured(rows, tuple(answers), tuple(_conditions(answer_needs, likelihood_needs, renderer.template)))


class _Renderer:
    """Renders prompts, each once."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.template = text_sha256(str(tokenizer.chat_template or ""))
        self._chats: dict[tuple[Message, ...], tuple[int, ...]] = {}

    def chat(self, messages: tuple[Message, ...]) -> tuple[int, ...]:
        """Return the ids of a conversation, ready for the assistant to speak."""
        if messages not in self._chats:
            plain = [{"role": message.role, "content": message.content} for message in messages]
            if not self.tokenizer.chat_template:
                raise DataError("the checkpoint has no chat template, so its answers cannot be elicited as a chat")
            output = self.tokenizer.apply_chat_template(
                plain, tokenize=True, return_dict=True, add_generation_prompt=True
            )
            self._chats[messages] = tuple(output["input_ids"])
        return self._chats[messages]

    def text(self, text: str) -> tuple[int, ...]:
        """Return the ids of plain text without special tokens."""
        return tuple(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def prefix(self, item: Item, num_tokens: int) -> tuple[int, ...]:
        """Return the first tokens of the item's complying answer."""
        return self.text(item.compliance_prefix or "")[:num_tokens]

    def likelihood_prompt(self, need: LikelihoodNeed, item: Item) -> tuple[int, ...]:
        """Return what stands before the continuations of ``need``."""
        if need.prompt == "completion":
            return self.text(item.completion_prompt or "")
        if need.prompt == "nothing":
            return (self.tokenizer.eos_token_id,)
        if need.prompt == "neutral":
            return self.chat((Message(role="user", content=""),))
        return self.chat(item.messages)

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids without special tokens."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True)).strip()


Responses = dict[AnswerNeed, list[Generated]]


def _answers(
    loaded: LoadedModel,
    renderer: _Renderer,
    needs: Sequence[AnswerNeed],
    items: dict[str, Item],
    precision: str,
    seed: int,
    on_progress: Callable[[int], None],
) -> Responses:
    tokenizer = loaded.tokenizer
    responses: Responses = {}
    done = 0
    for decoding in dict.fromkeys(need.decoding for need in needs):
        group = [need for need in needs if need.decoding == decoding]
        prompts = [
            Prompt(
                f"{need.item}/{need.condition}",
                (*renderer.chat(items[need.item].messages), *renderer.prefix(items[need.item], need.prefill)),
            )
            for need in group
        ]
        before = done
        generated = generate(
            loaded.model,
            prompts,
            decoding,
            end_tokens=[tokenizer.eos_token_id],
            padding_token=tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id,
            precision=precision,
            seed=seed,
            on_progress=lambda finished, _, before=before: on_progress(before + finished),  # type: ignore[misc]
        )
        responses.update(zip(group, generated, strict=True))
        done += len(group)
    return responses


def _likelihoods(
    loaded: LoadedModel,
    renderer: _Renderer,
    needs: Sequence[LikelihoodNeed],
    items: dict[str, Item],
    precision: str,
    on_progress: Callable[[int], None],
) -> dict[LikelihoodNeed, list[float]]:
    requests = [
        Scoring(
            renderer.likelihood_prompt(need, items[need.item]),
            tuple(renderer.text(continuation) for continuation in need.continuations),
        )
        for need in needs
    ]
    unique = list(dict.fromkeys(requests))  # neutral prompts of many items are one and the same
    scores = score(loaded.model, unique, precision=precision, on_progress=lambda done, _: on_progress(done))
    found = dict(zip(unique, scores, strict=True))
    return {need: found[request] for need, request in zip(needs, requests, strict=True)}


def _judged(
    checkpoint: str, responses: Responses, items: dict[str, Item], judges: Sequence[Judge], renderer: _Renderer
) -> tuple[list[Answer], dict[AnswerNeed, list[JudgedAnswer]]]:
    """Return answers as texts, and what every judge made of each. Thought and answer are kept apart."""
    flat: list[tuple[AnswerNeed, int, Generated, Answer]] = []
    for need, samples in responses.items():
        item = items[need.item]
        for sample, generated in enumerate(samples):
            text = renderer.decode((*renderer.prefix(item, need.prefill), *generated.ids))
            thought, separator, spoken = text.rpartition(THOUGHT_END)
            name = fingerprint([checkpoint, need.item, need.condition, sample])[:RESPONSE_CHARACTERS]
            answer = Answer(
                response=name,
                checkpoint=checkpoint,
                item=item.id,
                condition=need.condition,
                sample=sample,
                request=item.request,
                prompt="\n".join(f"{message.role}: {message.content}" for message in item.messages),
                answer=spoken.strip(),
                thought=thought.strip() if separator else None,
                finish=generated.finish,
            )
            flat.append((need, sample, generated, answer))
    verdicts = {
        judge.id: judge.judge([items[need.item] for need, *_ in flat], [answer.answer for *_, answer in flat])
        for judge in judges
    }
    kinds = {judge.id: judge.judge_kind for judge in judges}
    judged: dict[AnswerNeed, list[JudgedAnswer]] = {}
    for index, (need, sample, generated, answer) in enumerate(flat):
        judgements = {judge: found[index] for judge, found in verdicts.items()}
        entry = JudgedAnswer(
            need, sample, answer.response, text_sha256(answer.answer), generated.finish, judgements, dict(kinds)
        )
        judged.setdefault(need, []).append(entry)
    return [answer for *_, answer in flat], judged


def _conditions(
    answers: Iterable[AnswerNeed], likelihoods: Iterable[LikelihoodNeed], template: str
) -> Iterable[ConditionInfo]:
    yield from {need.condition: need.info(template) for need in answers}.values()
    for name in sorted({need.condition for need in likelihoods}):
        yield ConditionInfo(id=name, elicitation="E3", template=template)
