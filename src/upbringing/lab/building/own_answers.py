"""What the start of a study says to benign requests: generated once, kept in the store, then trained on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from upbringing.base.errors import DataError
from upbringing.base.files import remove_tree
from upbringing.base.fingerprint import canonical_json, fingerprint, text_sha256
from upbringing.battery.cache import AnswerCache, batch_key
from upbringing.battery.engine import local_model
from upbringing.battery.unasked import why_unasked
from upbringing.data.packages.source import PackageData
from upbringing.data.prompt_sets.shipped import BenignPart, benign_requests
from upbringing.data.prompt_sets.source import PromptSet
from upbringing.formats.items import Message
from upbringing.formats.record import BuildProfile
from upbringing.lab.building.executor import Event
from upbringing.lab.storage.store import Store
from upbringing.models.asking import Model, Prompt
from upbringing.models.decoding import Decoding, Greedy
from upbringing.models.loading import load_model
from upbringing.study.recipes import DataBook, Teacher

OWN_ANSWERS: Decoding = Greedy(max_tokens=112)  # a few sentences; longer answers are cut to whole sentences anyway
ANSWERS_NAME = "answers.json"
KEY_CHARACTERS = 40  # of a sha256; collisions are out of reach


def answered_parts(book: DataBook) -> tuple[BenignPart, ...]:
    """Return the parts of the benign requests that the data of a study needs answered, each once."""
    return tuple(dict.fromkeys(part for entry in book.entries.values() for part in parts_of(entry)))


def parts_of(description: object) -> tuple[BenignPart, ...]:
    """Return the benign parts that a data description trains on, none for data of other kinds."""
    if isinstance(description, PackageData):
        return description.benign
    return description.parts if isinstance(description, PromptSet) else ()


def answers_key(teacher: Teacher, part: BenignPart) -> str:
    """Return the store key of one part's answers: the requests, the teacher's bytes and the decoding decide it."""
    requests = [request.request for request in benign_requests(part)]
    decoding = OWN_ANSWERS.model_dump(mode="json")
    decided_by = [teacher.identity, decoding, text_sha256(canonical_json(requests))]
    return f"answers-{fingerprint(decided_by)[:KEY_CHARACTERS]}"


@dataclass(frozen=True)
class OwnAnswersJob:
    """Let the start of a study answer one part of the benign requests, greedily; finished batches survive a kill."""

    key: str
    label: str
    store: Path
    teacher: Teacher
    part: BenignPart
    profile: BuildProfile
    after: tuple[str, ...] = ()

    def run(self, report: Callable[[Event], None]) -> None:
        """Publish ``answers.json``: request to answer."""
        store = Store(self.store)
        if store.whole("data", self.key) is not None:
            return

        def fill(folder: Path) -> None:
            answers = self._answers(report)
            text = json.dumps(answers, sort_keys=True, ensure_ascii=False, indent=1)
            (folder / ANSWERS_NAME).write_text(text, encoding="utf-8")

        store.publish("data", self.key, fill)
        if self._batches.exists():
            remove_tree(self._batches)

    @property
    def _batches(self) -> Path:
        """Finished batches of this job alone: processes side by side never write one file."""
        return self.store / "answers" / self.key

    def _answers(self, report: Callable[[Event], None]) -> dict[str, str]:
        import torch

        torch.set_num_threads(self.profile.threads)
        loaded = load_model(self.teacher.folder, profile=self.profile, precision=self.teacher.precision)
        model = local_model(loaded, precision=self.teacher.precision, hashed=True)
        requests = [request.request for request in benign_requests(self.part)]
        answers: dict[str, str] = {}
        for request, answer in own_answers(model, requests, self._batches):
            answers[request] = answer
            report(Event(self.key, len(answers), len(requests)))
        return answers


def own_answers(model: Model, requests: Sequence[str], cache: Path) -> Iterator[tuple[str, str]]:
    """Yield each request with the model's answer, in canonical batches; batches kept in ``cache`` are not asked again.

    Raises ``DataError`` where the model cannot be asked or gives no answer at all.
    """
    prompts = [
        Prompt(name=f"own-answers/{text_sha256(request)}", messages=(Message(role="user", content=request),))
        for request in requests
    ]
    for prompt, request in zip(prompts, requests, strict=True):
        if (reason := why_unasked(model, prompt)) is not None:
            raise DataError(f"the start model cannot be asked {request!r} ({reason}): it needs a chat template")
    kept = AnswerCache.open(cache, model)
    for batch in model.batches(prompts, OWN_ANSWERS):
        asked = [prompts[index] for index in batch]
        key = batch_key(model, asked, OWN_ANSWERS, 0)
        replies = kept.get(key)
        if replies is None:
            replies = model.answer(asked, OWN_ANSWERS, 0)
            kept.put(key, replies)
        for index, samples in zip(batch, replies, strict=True):
            text = samples[0].text.strip()
            if samples[0].status != "ok" or not text:
                raise DataError(f"the start model gave no answer to {requests[index]!r} ({samples[0].status})")
            yield requests[index], text


def answers_jobs(store: Path, book: DataBook, profile: BuildProfile) -> list[OwnAnswersJob]:
    """Return one job per part of the benign requests that the study's data needs; none where no data does."""
    parts = answered_parts(book)
    if not parts:
        return []
    teacher = book.needed_teacher()
    return [
        OwnAnswersJob(answers_key(teacher, part), f"the start's answers: {part}", store, teacher, part, profile)
        for part in parts
    ]


def read_own_answers(store: Path, teacher: Teacher, parts: Sequence[BenignPart]) -> Mapping[str, str]:
    """Return request to answer for ``parts``; raises ``DataError`` where they have not been generated."""
    answers: dict[str, str] = {}
    for part in parts:
        folder = Store(store, reads_only=True).find("data", answers_key(teacher, part), full=True)
        if folder is None:
            raise DataError(f"the start model's answers to the {part} requests are not in the store: run build")
        answers.update(json.loads((folder / ANSWERS_NAME).read_text(encoding="utf-8")))
    return answers
