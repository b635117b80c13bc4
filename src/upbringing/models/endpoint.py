"""Models behind an OpenAI-compatible chat API: vLLM, llama.cpp, ``transformers serve``, providers.

Our own retry policy: transient faults are tried again with full jitter and never become an outcome; refusals and
harmful answers are never tried again; what is fatal stops all workers with a run that can be resumed.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

from pydantic import Field

from upbringing.base.description import Description
from upbringing.base.errors import EndpointError, MeasurementError, StudyError
from upbringing.base.streams import stream
from upbringing.formats.items import Message
from upbringing.models.addresses import check_base_url, is_this_machine
from upbringing.models.asking import Prompt, Reply, split_thought
from upbringing.models.banning import refuse_bans
from upbringing.models.budget import Budget, Cap, CapReachedError, Price
from upbringing.models.decoding import BeamSearch, Decoding, Greedy, Sampled
from upbringing.models.endpoint_exchange import Received, exchanged, open_client, request_seed
from upbringing.models.endpoint_faults import (
    Fault,
    StoppedError,
    Usage,
    cause_of,
    classify_status,
    read_reply,
    without_key,
)

BASE_BACKOFF_SECONDS = 0.5
MAX_BACKOFF_SECONDS = 60.0
MESSAGE_OVERHEAD_TOKENS = 16  # per message, of templates; a token is at least a byte, so bytes bound the rest


class Endpoint(Description):
    """Where a model answers. ``key_variable`` names the environment variable that holds the key, never the key.

    ``max_attempts`` counts requests of one sample; ``max_seconds`` bounds them by the clock. ``malformed_attempts``:
    how often a reply that is no completion is asked again with the same prompt. ``revision`` is what the user knows of
    the weights behind the name; two endpoints with equal names but other weights need other revisions.
    """

    kind: Literal["endpoint"] = "endpoint"
    base_url: str
    model: str
    revision: str = ""
    key_variable: str | None = Field(default=None, pattern=r"^[A-Z_][A-Z0-9_]*$")
    allow_http: bool = False
    workers: int = Field(default=4, ge=1)
    max_attempts: int = Field(default=6, ge=1)
    malformed_attempts: int = Field(default=2, ge=0)
    max_seconds: float = Field(default=600.0, gt=0)
    timeout_seconds: float = Field(default=120.0, gt=0)
    price: Price | None = None
    cap: Cap = Cap()

    @property
    def is_capped(self) -> bool:
        """Whether spending is bounded: by a declared cap, or because the model runs on this machine."""
        return self.cap.is_declared or is_this_machine(self.base_url)


@dataclass(frozen=True)
class Clock:
    """Time as an argument, so that tests need not wait."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True)
class EndpointModel:
    """A model that is asked over HTTP. ``seed`` names the streams of the backoff only."""

    endpoint: Endpoint
    seed: int = 0
    clock: Clock = Clock()
    budget: Budget = field(default=None)  # type: ignore[assignment]
    _stop: threading.Event = field(default_factory=threading.Event, repr=False)

    def __post_init__(self) -> None:
        if self.budget is None:
            object.__setattr__(self, "budget", Budget(self.endpoint.cap, self.endpoint.price))
        check_base_url(self.endpoint.base_url, allow_http=self.endpoint.allow_http)
        self._key()

    @property
    def identity(self) -> Mapping[str, str]:
        """What is known of what decides an answer: address, name and the user's revision."""
        return {
            "endpoint": self.endpoint.base_url.rstrip("/"),
            "model": self.endpoint.model,
            "revision": self.endpoint.revision,
        }

    @property
    def template_sha256(self) -> str | None:
        """The server's template is not known."""
        return None

    @property
    def scores(self) -> bool:
        """Chat APIs give no likelihood of a given continuation."""
        return False

    def unanswerable(self, prompt: Prompt) -> str | None:
        """Only chats can be asked, and nothing can be put into the model's mouth in a way all servers honour."""
        if prompt.elicitation != "E1" or not prompt.messages:
            return "endpoint-is-chat-only"
        return "endpoint-has-no-prefill" if prompt.opening or prompt.begin is not None else None

    def unscorable(self, prompt: Prompt, continuations: Sequence[str]) -> str | None:
        """No continuation has a likelihood here (``scores``)."""
        return "no-likelihood"

    def undecodable(self, decoding: Decoding) -> str | None:
        """No chat API searches beams, or shows logits to do so, has top-k, or tells the ids of tokens to be banned."""
        if isinstance(decoding, BeamSearch):
            return "endpoint-has-no-beam-search"
        if decoding.banned:
            return "endpoint-cannot-ban"
        return "endpoint-has-no-top-k" if isinstance(decoding, Sampled) and decoding.top_k else None

    def lacks(self, token: str) -> str | None:
        """Nothing is known of the server's tokens."""
        return "endpoint-hides-tokens"

    @property
    def side_by_side(self) -> int:
        """Requests in flight."""
        return self.endpoint.workers

    def batches(self, prompts: Sequence[Prompt], decoding: Decoding) -> list[list[int]]:
        """Return every prompt alone: servers do not promise that batches matter, and each answer is kept at once."""
        order = sorted(range(len(prompts)), key=lambda index: prompts[index].name)
        return [[index] for index in order]

    def answer(self, prompts: Sequence[Prompt], decoding: Decoding, seed: int) -> list[list[Reply]]:
        """Return the replies; samples differ by the seed that is sent along.

        Raises ``EndpointError`` to stop the run, ``CapReachedError`` among them.
        """
        wanted = [(prompt, sample) for prompt in prompts for sample in range(decoding.samples)]
        requests = [
            (f"{prompt.name}/{each}", self.payload(prompt.messages, decoding, request_seed(seed, prompt.name, each)))
            for prompt, each in wanted
        ]
        replies = [split_thought(self._sample(name, body)) for name, body in requests]
        return [replies[first : first + decoding.samples] for first in range(0, len(replies), decoding.samples)]

    def score(
        self, requests: Sequence[tuple[Prompt, tuple[str, ...]]], on_progress: Callable[[int, int], None]
    ) -> list[list[float]]:
        """Raise ``MeasurementError``: see ``scores``."""
        raise MeasurementError("a chat API gives no likelihoods: measure the weights, or drop likelihood measures")

    def payload(self, messages: Sequence[Message], decoding: Decoding, seed: int) -> dict[str, Any]:
        """Return the body of a request; raises ``MeasurementError`` for a decoding that bans tokens."""
        refuse_bans(decoding, "a chat API")
        body: dict[str, Any] = {
            "model": self.endpoint.model,
            "messages": [{"role": message.role, "content": message.content} for message in messages],
            "max_tokens": decoding.max_tokens,
            "stream": False,
        }
        if isinstance(decoding, Greedy):
            return {**body, "temperature": 0.0}
        assert isinstance(decoding, Sampled)  # see undecodable
        return {**body, "temperature": decoding.temperature, "top_p": decoding.top_p, "seed": seed}

    def ask(
        self,
        requests: Sequence[tuple[str, dict[str, Any]]],
        on_reply: Callable[[int, Reply], None] = lambda place, reply: None,
    ) -> list[Reply]:
        """Return one reply per (name, body), in order, asking ``workers`` at a time.

        ``on_reply`` is called in the asking thread as soon as the reply to a place is there. Where the cap is reached
        the rest is ``failed`` with the reason ``spend-cap``: what was paid for is not lost.
        """

        def asked(place: int) -> Reply:
            try:
                reply = self._sample(*requests[place])
            except CapReachedError:
                reply = Reply(text="", status="failed", reason_code="spend-cap")
            on_reply(place, reply)
            return reply

        with ThreadPoolExecutor(max_workers=self.endpoint.workers) as pool:
            futures = [pool.submit(asked, place) for place in range(len(requests))]
            try:
                return [future.result() for future in futures]
            except BaseException as error:
                self._stop.set()
                pool.shutdown(cancel_futures=True)
                raise cause_of(futures, error) from None

    def _sample(self, name: str, body: dict[str, Any]) -> Reply:
        """Return the outcome of one sample: transient faults are retried, outcomes never are."""
        begin, malformed = self.clock.now(), 0
        reason = "not-asked"
        for attempt in range(self.endpoint.max_attempts):
            if self._stop.is_set():
                raise StoppedError("another request stopped the run: run again to go on")
            found = self._attempt(body, begin)
            if isinstance(found, Reply):
                reply = replace(found, attempts=attempt + 1)
                if reply.status != "malformed" or malformed >= self.endpoint.malformed_attempts:
                    return reply
                malformed, reason, wait = malformed + 1, "malformed", None
            else:
                self._stop_if_hopeless(found)
                reason, wait = found.reason_code, found.retry_after
            if not self._waited(name, attempt, wait, begin):
                break
        status: Literal["malformed", "failed"] = "malformed" if reason == "malformed" else "failed"
        return Reply(text="", status=status, reason_code=f"endpoint-{reason}", attempts=attempt + 1)

    def _waited(self, name: str, attempt: int, retry_after: float | None, begin: float) -> bool:
        """Sleep before the next attempt; return whether there is one. Stream: ``endpoint/<name>/<attempt>``."""
        ceiling = min(MAX_BACKOFF_SECONDS, BASE_BACKOFF_SECONDS * 2**attempt)
        pause = float(stream(self.seed, "endpoint", name, attempt).uniform(0, ceiling))
        pause = max(pause, retry_after or 0.0)
        if attempt + 1 >= self.endpoint.max_attempts:
            return False
        if self.clock.now() - begin + pause > self.endpoint.max_seconds:
            return False
        self.clock.sleep(pause)
        return True

    def _stop_if_hopeless(self, fault: Fault) -> None:
        if fault.fault == "transient":
            return
        self._stop.set()
        if fault.fault == "fatal":
            raise EndpointError(
                f"the endpoint refuses this account ({fault.reason_code}): {fault.shown!r}. Answers so far are kept; "
                "run again to go on"
            )
        raise EndpointError(
            f"the endpoint cannot serve this request ({fault.reason_code}): {fault.shown!r}. "
            "Check base_url, model and limits"
        )

    def _attempt(self, body: dict[str, Any], begin: float) -> Reply | Fault:
        """Send one request within the budget and return its outcome or fault."""
        bound = sum(len(each["content"].encode()) + MESSAGE_OVERHEAD_TOKENS for each in body["messages"])
        reserved = self.budget.reserve(bound, int(body["max_tokens"]))
        usage = Usage()
        try:
            found = exchanged(self._client, body, self._headers(), lambda: self._is_late(begin))
            if not isinstance(found, Received):
                return found
            # The key is cut out before the text is cut off, or the first half of a key would be shown.
            fault = classify_status(found.status, self._redacted(found.text), found.retry_after)
            if fault is not None:
                usage = Usage(0, 0) if found.status < 500 else usage
                return fault
            reply, usage = read_reply(found.text)
            thought = None if reply.thought is None else self._redacted(reply.thought)
            return replace(reply, text=self._redacted(reply.text), thought=thought)
        finally:
            self.budget.settle(reserved, usage.input_tokens, usage.output_tokens)

    def _is_late(self, begin: float) -> bool:
        return self.clock.now() - begin > self.endpoint.max_seconds

    @cached_property
    def _client(self) -> Any:
        endpoint = self.endpoint
        return open_client(endpoint.base_url, allow_http=endpoint.allow_http, timeout_seconds=endpoint.timeout_seconds)

    def _headers(self) -> dict[str, str]:
        key = self._key()
        return {"Authorization": f"Bearer {key}"} if key else {}

    def _key(self) -> str | None:
        name = self.endpoint.key_variable
        if name is None:
            return None
        key = os.environ.get(name)
        if not key:
            raise StudyError(f"the environment variable {name} that should hold the endpoint's key is not set")
        return key

    def _redacted(self, text: str) -> str:
        """Return a server's text without the key, should the server have sent it back."""
        return without_key(text, self._key())
