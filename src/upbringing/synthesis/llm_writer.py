"""A language model behind an endpoint as the writer of interventions: nonsense becomes a reason, never a text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self

from pydantic import Field, model_validator

from upbringing.base.description import Description
from upbringing.base.quantities import Share
from upbringing.base.streams import derived_seed
from upbringing.data.interventions.key_terms import with_facts
from upbringing.data.interventions.writing import WritingRequest, Written
from upbringing.models.addresses import is_this_machine
from upbringing.models.asking import Reply
from upbringing.models.decoding import Sampled
from upbringing.models.endpoint import Endpoint, EndpointModel
from upbringing.synthesis.writing_prompts import (
    MAX_SOURCE_CHARACTERS,
    STYLES,
    TEMPLATE_VERSION,
    read_written,
    wording,
    writing_messages,
)

REQUEST_SEED_BITS = 31  # every server accepts a seed of so many


class LlmWriter(Description):
    """A writer behind an OpenAI-compatible endpoint. Its spend cap is the endpoint's ``cap``; only a writer on this
    machine needs none. ``least_facts``: share of the source's numbers and names that a rephrasing must keep to be
    accepted. It is 0.5, because names and numbers are told by their form alone (a capital, a digit, and letter by
    letter), and some of a harmful text's should go: less than half tells of a text about something else. What was
    kept is stored with each text (``facts_share``, and ``facts_kept`` where it is all), so that a reader may ask for
    more. A source without names and numbers shows nothing: its rephrasings are accepted, as unknown.
    ``check_refusals``: a refusal dialogue whose reply does not refuse, as rules for English tell, is none.
    """

    kind: Literal["llm_writer"] = "llm_writer"
    endpoint: Endpoint
    max_tokens: int = Field(default=1024, ge=16)
    temperature: float = Field(default=0.7, gt=0)
    least_facts: Share = 0.5
    check_refusals: bool = True

    @model_validator(mode="after")
    def _is_capped(self) -> Self:
        if not self.endpoint.cap.is_declared and not is_this_machine(self.endpoint.base_url):
            raise ValueError(
                "a writer behind a network needs a spend cap in its endpoint: write cap: {usd: 5} (with price), "
                "cap: {calls: 1000}, or cap: {unlimited: true}"
            )
        return self

    def build(self) -> EndpointWriter:
        """Return the writer; raises ``StudyError`` for a missing key, ``UntrustedError`` for an unsafe address."""
        return EndpointWriter(self, EndpointModel(self.endpoint))


@dataclass(frozen=True)
class EndpointWriter:
    """Asks one question per text. ``refuses``: says whether a reply refuses; without it nobody checks that.

    It is the caller's to give: this floor knows no judges.
    """

    description: LlmWriter
    model: EndpointModel
    refuses: Callable[[str], bool] | None = None

    @property
    def id(self) -> str:
        """Name with model, template version and hash of the wording."""
        endpoint = self.description.endpoint
        name = "@".join(part for part in (endpoint.model, endpoint.revision) if part)
        return f"llm-writer/{TEMPLATE_VERSION}:{name}:{wording()}"

    def write(self, requests: Sequence[WritingRequest], seed: int) -> list[Written]:
        """Return one text per request, in order, or why there is none. The seed sent is that of ``write/<name>``.

        Raises ``EndpointError`` only where the endpoint refuses the account or the request itself.
        """
        wordless = {
            place: f"the style {each.style!r} is none of {', '.join(STYLES)}"
            for place, each in enumerate(requests)
            if each.style is not None and each.style not in STYLES
        }
        asked = [place for place in range(len(requests)) if place not in wordless]
        decoding = Sampled(max_tokens=self.description.max_tokens, temperature=self.description.temperature)
        bodies = [
            (
                f"write/{requests[place].name}",
                self.model.payload(writing_messages(requests[place]), decoding, _request_seed(seed, requests[place])),
            )
            for place in asked
        ]
        replies = dict(zip(asked, self.model.ask(bodies), strict=True))
        return [
            Written(reason=wordless[place]) if place in wordless else self._read(request, replies[place])
            for place, request in enumerate(requests)
        ]

    def _read(self, request: WritingRequest, reply: Reply) -> Written:
        if reply.status != "ok":
            return Written(reason=f"the model gave no answer: {reply.reason_code or reply.status}")
        if reply.finish == "length":
            return Written(reason="the answer was cut off: raise max_tokens")
        written = read_written(request, reply.text)
        if written.reason is not None:
            return written
        if request.task == "refusal" and self.refuses is not None and not self.refuses(written.turns[-1].content):
            return Written(reason="the dialogue does not end in a refusal")
        written = replace(written, details={"source_cut": len(request.document.text) > MAX_SOURCE_CHARACTERS})
        if request.task != "rephrase":
            return written
        return with_facts(written, request.document.text[:MAX_SOURCE_CHARACTERS], self.description.least_facts)


def _request_seed(seed: int, request: WritingRequest) -> int:
    return derived_seed(seed, "write", request.name, request.task) >> (63 - REQUEST_SEED_BITS)
