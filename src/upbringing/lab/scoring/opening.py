"""Scorer files: a scorer and the endpoints it asks, opened with everything the upper floors can load."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from upbringing.base.description import Description
from upbringing.base.devices import device_here
from upbringing.base.strict_yaml import load_yaml
from upbringing.battery.cache import AnswerCache, batch_key
from upbringing.battery.judges.llm_judge import is_final
from upbringing.data.interventions.scores import Scorer
from upbringing.data.interventions.scoring.scorers import AnyScorer, open_scorer
from upbringing.data.interventions.scoring.tools import Question, Rater, ScoringTools, TextClassifier
from upbringing.models.asking import Prompt, Reply, split_thought
from upbringing.models.decoding import Greedy
from upbringing.models.endpoint import Clock, Endpoint, EndpointModel
from upbringing.study.loading import validated


class ScorerFile(Description):
    """What a scorer file holds. ``endpoints``: by the names under which rubrics ask them."""

    scorer: AnyScorer
    endpoints: Mapping[str, Endpoint] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _is_capped(self) -> Self:
        refuse_uncapped(self.endpoints)
        return self


def refuse_uncapped(endpoints: Mapping[str, Endpoint]) -> None:
    """Raise ``ValueError`` naming an endpoint behind a network that has no spend cap."""
    if free := sorted(name for name, endpoint in endpoints.items() if not endpoint.is_capped):
        raise ValueError(
            f"the endpoint {free[0]!r} lies behind a network and needs a spend cap: write cap: {{usd: 5}} (with "
            "price), cap: {calls: 1000}, or cap: {unlimited: true}"
        )


@dataclass(frozen=True)
class EndpointRater:
    """A model behind an endpoint; ``kept`` holds replies on disk, so that no question is paid for twice."""

    model: EndpointModel
    kept: AnswerCache = field(default_factory=lambda: AnswerCache(None, is_final))

    @property
    def id(self) -> str:
        """Name and revision of the model."""
        return "@".join(part for part in (self.model.endpoint.model, self.model.endpoint.revision) if part)

    def ask(self, questions: Sequence[Question], max_tokens: int) -> list[Reply]:
        """Return one reply per question, without its thoughts; equal questions are asked once.

        Raises ``EndpointError`` where the endpoint refuses the account or the request itself; what was answered is
        kept.
        """
        decoding = Greedy(max_tokens=max_tokens)
        prompts = [Prompt(name=name, messages=messages) for name, messages in questions]
        keys = [batch_key(self.model, [prompt], decoding, 0) for prompt in prompts]
        known = {key: found[0][0] for key in keys if (found := self.kept.get(key)) is not None}
        missing = {key: prompt for key, prompt in zip(keys, prompts, strict=True) if key not in known}
        names = list(missing)
        requests = [(prompt.name, self.model.payload(prompt.messages, decoding, 0)) for prompt in missing.values()]
        replies = self.model.ask(requests, lambda place, reply: self.kept.put(names[place], [[reply]]))
        known |= dict(zip(names, replies, strict=True))
        return [split_thought(known[key]) for key in keys]


def open_scorer_file(path: Path, *, replies: Path | None = None, clock: Clock | None = None) -> Scorer:
    """Return the scorer in the YAML file ``path``; relative paths in it begin in its folder.

    ``replies``: where replies of endpoints are kept. Raises ``StudyError`` naming lines, ``DataError``,
    ``IntegrityError`` or ``UntrustedError`` for what it names.
    """
    file = validated(ScorerFile, load_yaml(path))
    return open_scorer(file.scorer, scoring_tools(file, path.parent, replies=replies, clock=clock or Clock()))


def scoring_tools(file: ScorerFile, folder: Path, *, replies: Path | None, clock: Clock) -> ScoringTools:
    """Return the tools that the scorer of ``file`` needs."""
    raters: dict[str, Rater] = {}
    for name, endpoint in file.endpoints.items():
        model = EndpointModel(endpoint, clock=clock)
        raters[name] = EndpointRater(model, AnswerCache.open(replies, model, is_final))
    return ScoringTools(folder, _open_classifier, raters)


def _open_classifier(folder: Path, max_tokens: int | None) -> TextClassifier:
    from upbringing.models.classifying import open_sequence_classifier

    return open_sequence_classifier(folder, max_tokens, device=device_here())
