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
from upbringing.data.interventions.random_drop import RandomDrop
from upbringing.data.interventions.scores import Scorer
from upbringing.data.interventions.scoring.scorers import AnyScorer, open_scorer
from upbringing.data.interventions.scoring.tools import Classified, Question, Rated, Rater, TextClassifier
from upbringing.data.interventions.tag import Tag
from upbringing.data.interventions.template_writer import TemplateWriter
from upbringing.data.interventions.tools import CorpusLabels, Tools, Transformed, settled
from upbringing.data.interventions.writing import Writer, WritingRequest, Written
from upbringing.data.transforms import (
    ASKING,
    WRITING,
    Sample,
    Transform,
    compares_labels,
    one_step,
    refills,
    refused_marks,
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
        if isinstance(each, RandomDrop) or refills(each):
            name = f"{each.kind} with refill" if refills(each) else each.kind
            return (
                f"{name} compares all texts, and a recipe holds one at a time: score the corpus with upbringing "
                f"data score, and name {each.kind} among the transforms of a study on the scored file"
            )
        if isinstance(each, WRITING) and not has_writer:
            return f"{each.kind} needs a writer: give writer"
        if isinstance(each, ASKING) and not has_scorer:
            return f"{each.kind} needs a scorer of parts and of what is written: give scorer"
    return None


def no_placebo(transforms: Sequence[Transform], scores: Iterable[int]) -> str | None:
    """Return why shuffled labels would tag what scored ones tag, in a rule for ``scores``; ``None`` if they do not."""
    for each in transforms:
        if isinstance(each, Tag) and each.labels == "shuffled" and set(scores) <= set(each.scores):
            return (
                f"tag: shuffled labels tag other documents of the same rule, and this rule has none but those of the "
                f"scores {', '.join(map(str, each.scores))}, which are tagged anyway: let it take other scores too"
            )
    return None


def compared_places(transforms: Sequence[Transform]) -> list[int]:
    """Return the places of transforms whose labels depend on all texts of the corpus."""
    return [place for place, each in enumerate(transforms) if compares_labels(each)]


def reserved_strings(transforms: Sequence[Transform]) -> tuple[str, ...]:
    """Return the strings that ``transforms`` insert as marks, and that may therefore not occur in the corpus."""
    return tuple(dict.fromkeys(mark for each in transforms for mark in refused_marks(each)))


def apply_steps(
    current: Transformed,
    name: str,
    transforms: Sequence[Transform],
    places: range,
    tools: Tools,
    seed: int,
    labels: Mapping[int, CorpusLabels],
) -> Transformed:
    """Apply the ``transforms`` at ``places`` to what those before them made of the document ``name``.

    A transform draws what it would draw in the whole corpus, because it names what it draws by the text. A ``sample``
    compares all texts, so here it keeps each document, and what was made of it, by its own draw. ``labels``: by place,
    of transforms that compare those of all texts.
    """
    for place in places:
        transform = transforms[place]
        if not isinstance(transform, Sample):
            current = one_step(current, transform, seed, replace(tools, labels=labels.get(place)))
            continue
        current = settled(current)
        if stream(derived_seed(seed, "document", name), "sample", place).random() >= transform.share:
            left = tuple((text, "not sampled") for text in current.texts)
            current = Transformed((), (*current.rejects, *left), current.doses)
    return current
