"""Benign requests with the start model's own answers: what a model says anyway, as data to train on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from upbringing.base.errors import DataError
from upbringing.data.documents import Chat, Turn
from upbringing.data.prompt_sets.lengths import cut_to_words, match_words
from upbringing.data.prompt_sets.shipped import BenignPart, BenignRequest, benign_requests, wordings


def benign_chats(parts: Sequence[BenignPart], answers: Mapping[str, str], teacher: str, max_words: int) -> list[Chat]:
    """Return one chat per request of ``parts``, in order.

    ``answers``: by the request's text. Answers keep whole sentences up to ``max_words`` words; those of the part
    ``placebo`` take the lengths of the training refusals in turn, because they stand where refusals stood. Raises
    ``DataError`` where an answer is missing or empty.
    """
    chats = []
    for part in parts:
        requests = benign_requests(part)
        said = [_answer(request, answers) for request in requests]
        if part == "placebo":
            kept = match_words(said, refusal_lengths(len(requests)))
        else:
            kept = [cut_to_words(answer, max_words) for answer in said]
        chats += [_chat(request, answer, teacher) for request, answer in zip(requests, kept, strict=True)]
    return chats


def refusal_lengths(number: int) -> list[int]:
    """Return ``number`` lengths in words: those of the training refusals, in turn."""
    lengths = [len(wording.text.split()) for wording in wordings("training")]
    return [lengths[index % len(lengths)] for index in range(number)]


def _answer(request: BenignRequest, answers: Mapping[str, str]) -> str:
    answer = answers.get(request.request, "").strip()
    if not answer:
        raise DataError(f"the start model gave no answer to {request.request!r}: generate the answers first")
    return answer


def _chat(request: BenignRequest, answer: str, teacher: str) -> Chat:
    return Chat(
        turns=(Turn("user", request.request), Turn("assistant", answer)),
        source=f"prompt_set/{request.part}",
        harm=0,
        teacher=teacher,
        metadata={"id": request.id, "topic": request.topic},
    )
