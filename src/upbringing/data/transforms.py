"""Transforms of texts that a study can name: texts in, texts and rejects out, nothing dropped silently."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal, Protocol, runtime_checkable

from pydantic import Field

from upbringing.base.description import Description
from upbringing.base.errors import DataError
from upbringing.base.own_part import OwnPart
from upbringing.base.quantities import Share
from upbringing.base.streams import stream
from upbringing.data.documents import TrainingText
from upbringing.data.interventions.conditional_tokens import ConditionalTokens
from upbringing.data.interventions.harm_filter import FilterByHarm
from upbringing.data.interventions.moral_education import MoralEducation
from upbringing.data.interventions.persona_reflections import PersonaReflections
from upbringing.data.interventions.random_drop import RandomDrop
from upbringing.data.interventions.reflections import Reflections
from upbringing.data.interventions.refusals import Refusals
from upbringing.data.interventions.relabelling import Relabelling
from upbringing.data.interventions.rephrase import Rephrase
from upbringing.data.interventions.tag import Tag
from upbringing.data.interventions.token_filter import TokenFilter
from upbringing.data.interventions.tools import NO_TOOLS, Tools, Transformed, settled

MAX_REASONS_SHOWN = 3


class Sample(Description):
    """Keep a random share of the texts. The control of a filter is ``random_drop``, which drops as much as that."""

    kind: Literal["sample"] = "sample"
    share: Share = 1.0

    def apply(self, texts: Sequence[TrainingText], seed: int, tools: Tools = NO_TOOLS) -> Transformed:
        """Return the kept texts in order; draws from the stream ``sample``."""
        chosen = set(stream(seed, "sample").permutation(len(texts))[: round(self.share * len(texts))].tolist())
        kept = tuple(text for index, text in enumerate(texts) if index in chosen)
        rejects = tuple((text, "not sampled") for index, text in enumerate(texts) if index not in chosen)
        return Transformed(kept, rejects)


BuiltInTransform = Annotated[
    FilterByHarm
    | Sample
    | RandomDrop
    | Rephrase
    | Refusals
    | MoralEducation
    | Tag
    | Reflections
    | PersonaReflections
    | ConditionalTokens
    | TokenFilter,
    Field(discriminator="kind"),
]
WRITING = (Rephrase, Refusals, MoralEducation)
READING = (Reflections, PersonaReflections, ConditionalTokens, TokenFilter)  # they find and score parts of texts
ASKING = (*WRITING, *READING)  # transforms whose result depends on a writer or a scorer


class Transform(Protocol):
    """A frozen description of what becomes of texts. One that writes special tokens names them by ``needed_tokens``."""

    @property
    def kind(self) -> str:
        """The word in the study file."""
        ...

    def apply(self, texts: Sequence[TrainingText], seed: int, tools: Tools = NO_TOOLS) -> Transformed:
        """Return the texts and every reject with its reason; streams are named by ``seed`` and the text."""
        ...

    def model_dump(self, *, mode: str) -> dict[str, Any]:
        """Return every field that decides what it does."""
        ...


@runtime_checkable
class Marks(Protocol):
    """A transform that puts in what must be special tokens."""

    @property
    def needed_tokens(self) -> tuple[str, ...]:
        """The tokens that a tokenizer must have."""
        ...


def may_ask(transform: Transform) -> bool:
    """Return whether what ``transform`` writes may depend on a writer or a scorer; of another package's, always."""
    return isinstance(transform, (*ASKING, OwnPart))


def refills(transform: Transform) -> bool:
    """Return whether ``transform`` is a filter that puts other texts in the place of what it leaves out."""
    return isinstance(transform, FilterByHarm) and transform.refill is not None


def counts(transform: Transform) -> bool:
    """Return whether ``transform`` gives one account of what it made, left out or called each time it is applied."""
    noisy = isinstance(transform, FilterByHarm | Tag) and transform.noise is not None
    return noisy or refills(transform) or isinstance(transform, (*WRITING, TokenFilter))


def needed_tokens(transform: Transform) -> tuple[str, ...]:
    """Return the special tokens that a tokenizer must have for what ``transform`` writes."""
    return transform.needed_tokens if isinstance(transform, Marks) else ()


def refused_marks(transform: Transform) -> tuple[str, ...]:
    """Return the strings that no text may hold before ``transform`` puts them in, because they would pass for its."""
    return transform.marks if isinstance(transform, Reflections) else needed_tokens(transform)


@runtime_checkable
class Inserts(Protocol):
    """A transform that puts in strings which may be special tokens."""

    @property
    def inserted(self) -> tuple[str, ...]:
        """The strings; ``{category}`` in one stands for any words."""
        ...


def inserted_strings(transform: Transform) -> tuple[str, ...]:
    """Return the strings that ``transform`` puts into texts on purpose: special tokens in them are meant."""
    return (*needed_tokens(transform), *(transform.inserted if isinstance(transform, Inserts) else ()))


def marks_of(transforms: Sequence[Transform]) -> tuple[str, ...]:
    """Return what tells the strings that ``transforms`` put in from all other text, each once."""
    strings = [text.partition("{category}")[0].strip() for each in transforms for text in inserted_strings(each)]
    return tuple(dict.fromkeys(text for text in strings if text))


def misplaced(transforms: Sequence[Transform], marks: Sequence[str] = ()) -> str | None:
    """Return what is wrong with the order of ``transforms``: one that writes from, or reads sentences of, text that
    holds marks, or puts tags between the words of a mark. ``marks``: those that their texts hold before.
    """
    before = "its source" if marks else None
    of_words = before if _hold_several_words(marks) else None
    for each in transforms:
        if before is not None and isinstance(each, WRITING):
            return (
                f"{each.kind} stands behind {before}, which puts marks into the texts that it writes from: let it "
                "write first, so that no mark comes into what is written"
            )
        if before is not None and isinstance(each, READING):
            return (
                f"{each.kind} stands behind {before}, which puts marks into the texts whose sentences it finds and "
                "scores: a mark hides where a sentence ends, and the words that it stands between. Give each data set, "
                "or rule, one of them"
            )
        if of_words is not None and isinstance(each, Tag):
            return (
                f"tag stands behind {of_words}, whose marks hold several words: it would put tags into them. Give each "
                "data set, or rule, one of them"
            )
        if put_in := inserted_strings(each):
            before = each.kind
            of_words = each.kind if _hold_several_words(put_in) else of_words
    return None


def _hold_several_words(marks: Sequence[str]) -> bool:
    return any(len(mark.split()) > 1 for mark in marks)


def compares_texts(transform: Transform) -> bool:
    """Return whether what becomes of a text depends on the others, so that a corpus must be given whole."""
    return isinstance(transform, Sample | RandomDrop) or refills(transform) or compares_labels(transform)


@runtime_checkable
class Relabels(Protocol):
    """A transform whose labels may depend on all texts; it takes them from ``relabelled``."""

    @property
    def relabelling(self) -> Relabelling:
        """What is done to the labels."""
        ...


def compares_labels(transform: Transform) -> bool:
    """Return whether the labels, and nothing else, that ``transform`` gives a text depend on the other texts."""
    return isinstance(transform, Relabels) and transform.relabelling.changes


def one_step(current: Transformed, transform: Transform, seed: int, tools: Tools) -> Transformed:
    """Apply ``transform`` to what came out of those before it; tools know the marks of all of them.

    A source from which something was written leaves before a transform that neither writes nor tags.
    """
    if not isinstance(transform, (*WRITING, Tag)):
        current = settled(current)
    step = transform.apply(current.texts, seed, tools)
    return Transformed(step.texts, (*current.rejects, *step.rejects), (*current.doses, *step.doses))


def apply_in_order(
    texts: Sequence[TrainingText], transforms: Sequence[Transform], *, seed: int, tools: Tools = NO_TOOLS
) -> Transformed:
    """Apply ``transforms`` in order and collect every reject and dose.

    A source from which something is written leaves before the next transform that neither writes nor tags, and at the
    end: a tag keeps the sources that it is for. What is written holds no mark of any of them: it is a reject, or, where
    it would be written from marked text, a ``DataError``.
    """
    if problem := misplaced(transforms):
        raise DataError(problem)
    tools = replace(tools, reserved=tuple(dict.fromkeys((*tools.reserved, *marks_of(transforms)))))
    current = Transformed(tuple(texts), ())
    for transform in transforms:
        current = one_step(current, transform, seed, tools)
    return settled(current)


def apply_transforms(
    texts: Sequence[TrainingText], transforms: Sequence[Transform], *, seed: int, tools: Tools = NO_TOOLS
) -> Transformed:
    """Apply ``transforms`` in order to the whole of a data set and collect every reject.

    Raises ``DataError`` where nothing is left of some texts, and where a transform could not meet its dose: what a
    study compares would silently be something else.
    """
    found = apply_in_order(texts, transforms, seed=seed, tools=tools)
    reasons = sorted({reason for _, reason in found.rejects})[:MAX_REASONS_SHOWN]
    problems = [problem for dose in found.doses if (problem := dose.problem()) is not None]
    if problems:
        raise DataError("; ".join([*problems, *reasons]))
    if texts and not found.texts:
        kinds = ", ".join(transform.kind for transform in transforms)
        raise DataError(f"{kinds}: nothing is left of {len(texts)} texts: {'; '.join(reasons)}")
    return found
