"""Hashes of what an Inspect sample asks, so that two models asked other text under one id are found out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from upbringing.battery.bridges.foreign import content_sha256

if TYPE_CHECKING:
    from inspect_ai.log import EvalSample

UNSTABLE = {"id", "internal", "metadata"}  # of a message or its parts: differ between runs of the same text


def question_sha256(sample: EvalSample) -> str:
    """Return the hash of the sample as the data set holds it: input, choices and target."""
    asked = sample.input if isinstance(sample.input, str) else _messages(sample.input)
    return content_sha256([asked, sample.choices or [], sample.target])


def prompt_sha256(sample: EvalSample) -> str | None:
    """Return the hash of all messages before the first answer; ``None`` where nothing was answered."""
    places = [place for place, message in enumerate(sample.messages) if message.role == "assistant"]
    return content_sha256(_messages(sample.messages[: places[0]])) if places else None


def _messages(messages: list[Any]) -> list[Any]:
    return [[message.role, _content(message.content)] for message in messages]


def _content(content: Any) -> Any:
    if isinstance(content, str):
        return content
    return [part.model_dump(mode="json", exclude=UNSTABLE, exclude_none=True) for part in content]
