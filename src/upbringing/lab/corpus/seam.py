"""Where scorers, writers and transforms meet the runner: everything it knows about their kinds stands in this file."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from upbringing.base.description import Description
from upbringing.base.errors import EndpointError
from upbringing.base.kinds import BareWord
from upbringing.base.streams import derived_seed, stream
from upbringing.battery.judges.refusal_rules import RefusalRules
from upbringing.data.documents import TrainingText
from upbringing.data.interventions.scores import Scorer
from upbringing.data.interventions.scoring.scorers import AnyScorer, open_scorer
from upbringing.data.interventions.scoring.tools import Classified, Question, Rated, Rater, TextClassifier
from upbringing.data.interventions.template_writer import TemplateWriter
from upbringing.data.interventions.tools import Tools, Transformed
from upbringing.data.interventions.writing import Writer, WritingRequest, Written
from upbringing.data.transforms import (
    ASKING,
    WRITING,
    Sample,
    Transform,
    apply_in_order,
    compares_texts,
    needed_tokens,
)
from upbringing.formats.items import Item
from upbringing.lab.scoring.opening import ScorerFile, scoring_tools
from upbringing.models.endpoint import Clock, Endpoint
from upbringing.synthesis.llm_writer import LlmWriter

SPEND_CAP = "spend-cap"  # the reason code of a request that the cap forbids


class TemplateWriting(Description):
    """The writer without a model, for trials: fixed sentences about a text's names and numbers."""

    kind: Literal["template_writer"] = "template_writer"

    def build(self) -> TemplateWriter:
        """Return the writer."""
        return TemplateWriter()


AnyWriter = Annotated[LlmWriter | TemplateWriting, Field(discriminator="kind"), BareWord(words=("template_writer",))]


@dataclass(frozen=True)
class ToolsRequest:
    """What a recipe asks with. ``folder``: where the relative paths of its scorer begin."""

    scorer: AnyScorer | None = None
    endpoints: Mapping[str, Endpoint] = field(default_factory=dict)
    writer: AnyWriter | None = None
    folder: Path = Path()


@dataclass(frozen=True)
class CorpusTools(Tools):
    """What a run computes with. Paid: calls cost money or time of others, so each result is written down at once, and
    no more than the recipe's ``concurrency`` run at the same time, in one process, which alone has the keys.
    """

    paid_scorer: bool = False
    paid_writer: bool = False

    @property
    def paid(self) -> bool:
        """Whether any call is paid."""
        return self.paid_scorer or self.paid_writer


ToolsOpener = Callable[[ToolsRequest], CorpusTools]


def open_tools(request: ToolsRequest) -> CorpusTools:
    """Return opened tools. Loads what they compute with; raises ``DataError`` for what they name and do not find."""
    scorer: Scorer | None = None
    if request.scorer is not None:
        one_each = {name: _one_at_once(endpoint) for name, endpoint in request.endpoints.items()}
        file = ScorerFile(scorer=request.scorer, endpoints=one_each)
        tools = scoring_tools(file, request.folder, replies=None, clock=Clock())
        open_classifier = tools.open_classifier
        assert open_classifier is not None
        raters = {name: StoppingRater(rater) for name, rater in tools.raters.items()}

        def open_locked(folder: Path, max_tokens: int | None) -> TextClassifier:
            return _OneByOne(open_classifier(folder, max_tokens))

        scorer = open_scorer(request.scorer, replace(tools, raters=raters, open_classifier=open_locked))
    paid_writer = isinstance(request.writer, LlmWriter)
    return CorpusTools(_writer(request.writer), scorer, paid_scorer=bool(request.endpoints), paid_writer=paid_writer)


def _writer(description: AnyWriter | None) -> Writer | None:
    if isinstance(description, LlmWriter):
        single = description.model_copy(update={"endpoint": _one_at_once(description.endpoint)})
        return StoppingWriter(replace(single.build(), refuses=refuses if description.check_refusals else None))
    return None if description is None else description.build()


def refuses(reply: str) -> bool:
    """Return whether a reply refuses, as far as rules for English can say; in other languages it is taken to."""
    [found] = RefusalRules().build().judge([Item(id="reply", cluster="reply", request="harmful", split="ood")], [reply])
    return found.outcome == "refuse" or found.reason_code == "not-english"


def _one_at_once(endpoint: Endpoint) -> Endpoint:
    """Return ``endpoint`` for callers that are several themselves: the recipe's ``concurrency`` bounds all calls."""
    return endpoint.model_copy(update={"workers": 1})


@dataclass(frozen=True)
class _OneByOne:
    """A classifier whose tokenizer one thread may use at a time."""

    classifier: TextClassifier
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def id(self) -> str:
        return self.classifier.id

    @property
    def labels(self) -> tuple[str, ...]:
        return self.classifier.labels

    def classify(self, texts: Sequence[str]) -> Sequence[Classified]:
        with self._lock:
            return self.classifier.classify(texts)


@dataclass(frozen=True)
class StoppingRater:
    """A rater whose spent cap stops the run: the documents that it could not ask about are not failures of theirs."""

    rater: Rater

    @property
    def id(self) -> str:
        """The rater's."""
        return self.rater.id

    def ask(self, questions: Sequence[Question], max_tokens: int) -> Sequence[Rated]:
        """Return the replies; raises ``EndpointError`` where the cap left one out."""
        replies = self.rater.ask(questions, max_tokens)
        _stop_at_cap(SPEND_CAP if reply.reason_code == SPEND_CAP else None for reply in replies)
        return replies


@dataclass(frozen=True)
class StoppingWriter:
    """A writer whose spent cap stops the run."""

    writer: Writer

    @property
    def id(self) -> str:
        """The writer's."""
        return self.writer.id

    def write(self, requests: Sequence[WritingRequest], seed: int) -> list[Written]:
        """Return the texts; raises ``EndpointError`` where the cap left one out."""
        found = self.writer.write(requests, seed)
        _stop_at_cap(each.reason for each in found)
        return found


def _stop_at_cap(reasons: Iterable[str | None]) -> None:
    if any(reason is not None and reason.endswith(SPEND_CAP) for reason in reasons):
        raise EndpointError(
            "the spend cap is reached: what was answered is kept. The cap counts each run of the command anew: raise "
            "it or leave it, and run the same command to go on"
        )


def unfit(transforms: Sequence[Transform], *, has_scorer: bool, has_writer: bool) -> str | None:
    """Return what forbids a recipe with these transforms, ``None`` if nothing does."""
    for each in transforms:
        if compares_texts(each) and not isinstance(each, Sample):
            return f"{each.kind} compares all texts of a corpus, which is never held at once: use it in a study"
        if isinstance(each, WRITING) and not has_writer:
            return f"{each.kind} needs a writer: give writer"
        if isinstance(each, ASKING) and not has_scorer:
            return f"{each.kind} needs a scorer of parts and of what is written: give scorer"
    return None


def reserved_strings(transforms: Sequence[Transform]) -> tuple[str, ...]:
    """Return the strings that ``transforms`` insert as marks, and that may therefore not occur in the corpus."""
    return tuple(dict.fromkeys(token for each in transforms for token in needed_tokens(each)))


def apply_to_document(
    text: TrainingText, name: str, transforms: Sequence[Transform], tools: Tools, seed: int
) -> Transformed:
    """Apply ``transforms`` in order to one document; all that is drawn follows from ``seed`` and ``name`` alone.

    A corpus is never held at once, so a ``sample`` keeps each document, and what was made of it, by its own draw.
    """
    own_seed = derived_seed(seed, "document", name)
    current = Transformed((text,), ())
    begin = 0
    for place, transform in enumerate([*transforms, None]):
        if transform is not None and not isinstance(transform, Sample):
            continue
        step = apply_in_order(
            current.texts, transforms[begin:place], seed=derived_seed(own_seed, "transforms", begin), tools=tools
        )
        rejects, doses = (*current.rejects, *step.rejects), (*current.doses, *step.doses)
        if transform is None or stream(own_seed, "sample", place).random() < transform.share:
            current = Transformed(step.texts, rejects, doses)
        else:
            current = Transformed((), (*rejects, *((each, "not sampled") for each in step.texts)), doses)
        begin = place + 1
    return current
