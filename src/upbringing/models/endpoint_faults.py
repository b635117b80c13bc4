"""What an endpoint's answer means: one table from HTTP to transient, fatal, configuration or outcome.

Source: reliability-security-ux 2.5. Departures: none.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal

from upbringing.base.errors import EndpointError
from upbringing.models.asking import Reply

FaultClass = Literal["transient", "fatal", "config"]
TRANSIENT_STATUS = {408, 409, 425, 429, 529}
FATAL_STATUS = {401, 402, 403}
QUOTA_WORDS = ("insufficient_quota", "quota", "billing", "credit balance")  # a 429 that waiting does not cure
SHOWN_CHARACTERS = 200  # of a server's error text


class StoppedError(EndpointError):
    """A request that was not made, because another had stopped the run."""


@dataclass(frozen=True)
class Fault:
    """Why a request gave no outcome. ``retry_after``: seconds the server asked for."""

    fault: FaultClass
    reason_code: str
    shown: str = ""
    retry_after: float | None = None


def classify_status(status: int, body: str, retry_after: str | None) -> Fault | None:
    """Return the fault of a response, ``None`` for a 200 whose body is to be read.

    Redirects are configuration errors: the key is bound to its host and is never sent elsewhere.
    """
    shown = body[:SHOWN_CHARACTERS]
    if status == 200:
        return None
    if status in FATAL_STATUS:
        return Fault("fatal", f"http-{status}", shown)
    if status == 429 and any(word in body.lower() for word in QUOTA_WORDS):
        return Fault("fatal", "quota", shown)
    if status in TRANSIENT_STATUS or status >= 500:
        return Fault("transient", f"http-{status}", shown, parse_retry_after(retry_after))
    return Fault("config", f"http-{status}", shown)


def parse_retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Return the seconds of a Retry-After header (a number or a date), ``None`` where it says nothing usable."""
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        return None
    return max(0.0, (moment - (now or datetime.now(UTC))).total_seconds())


@dataclass(frozen=True)
class Usage:
    """Tokens that the server says it counted; ``None`` where it says nothing."""

    input_tokens: int | None = None
    output_tokens: int | None = None


def read_reply(body: str) -> tuple[Reply, Usage]:
    """Return what a 200 means. A body that is no chat completion, or no text, is ``malformed``, never an answer.

    ``length`` is ``truncated`` and keeps its text; a refusal field, ``content_filter`` or an empty answer is
    ``refused`` with the reason.
    """
    try:
        content: Any = json.loads(body)
        choice = content["choices"][0]
        message = choice["message"]
        text, finish = message.get("content"), choice.get("finish_reason")
        thought, refusal = message.get("reasoning_content") or message.get("reasoning"), message.get("refusal")
        usage = _usage(content.get("usage"))
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        return Reply(text="", status="malformed", reason_code="not-a-completion"), Usage()
    if not all(part is None or isinstance(part, str) for part in (text, thought)):
        return Reply(text="", status="malformed", reason_code="not-a-completion"), usage
    if not all(is_text(part) for part in (text, thought, refusal) if isinstance(part, str)):
        return Reply(text="", status="malformed", reason_code="not-text"), usage
    if isinstance(refusal, str) and refusal:
        return Reply(text=refusal, thought=thought, status="refused", reason_code="provider-refusal"), usage
    if finish == "content_filter":
        return Reply(text=text or "", thought=thought, status="refused", reason_code="content-filter"), usage
    if finish == "length":
        reason = "length" if text else "thought-only"
        cut = Reply(text=text or "", thought=thought, finish="length", status="truncated", reason_code=reason)
        return cut, usage
    if not (text or "").strip():
        return Reply(text="", thought=thought, status="refused", reason_code="empty"), usage
    return Reply(text=text or "", thought=thought), usage


def is_text(text: str) -> bool:
    """Return whether UTF-8 can hold ``text``: JSON may escape half of a surrogate pair."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _usage(found: Any) -> Usage:
    if not isinstance(found, dict):
        return Usage()
    numbers = [found.get(name) for name in ("prompt_tokens", "completion_tokens")]
    good = [number if type(number) is int and number >= 0 else None for number in numbers]
    return Usage(good[0], good[1])


def cause_of(futures: Sequence[Future[Reply]], error: BaseException) -> BaseException:
    """Return what stopped the run, rather than what was stopped by it."""
    if not isinstance(error, StoppedError):
        return error
    found = [future.exception() for future in futures if not future.cancelled()]
    return next((each for each in found if each is not None and not isinstance(each, StoppedError)), error)


def without_key(text: str, key: str | None) -> str:
    """Return ``text`` without ``key``, plain or in base64."""
    if not key:
        return text
    return text.replace(key, "[key]").replace(base64.b64encode(key.encode()).decode(), "[key]")
