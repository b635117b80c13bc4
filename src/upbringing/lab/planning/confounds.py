"""What a study's data and checkpoints confound, said before training: leaked prompts, teachers, chat templates."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from upbringing.base.description import Description
from upbringing.base.errors import UpbringingError
from upbringing.base.fingerprint import text_sha256
from upbringing.data.documents import Chat, Document, TrainingText
from upbringing.data.tokenizer import chat_template
from upbringing.formats.items import Item
from upbringing.lab.building.data_teachers import UNKNOWN_TEACHER
from upbringing.lab.building.executor import Event
from upbringing.lab.building.library import Library
from upbringing.lab.measurement.measuring import item_sets
from upbringing.lab.packages import check_data
from upbringing.lab.planning.curriculum import rate_warnings, reread_warnings
from upbringing.lab.planning.planned import PlannedPhase
from upbringing.lab.planning.reading import DataFacts
from upbringing.lab.session import Session
from upbringing.lab.storage.remembered import keep, recall, remembered_key
from upbringing.study.lineage import Lineage
from upbringing.study.recipes import DataBook
from upbringing.training.existing import Existing
from upbringing.training.start import FreshStart

LEAKS_VERSION = 2
SHOWN = 60  # characters of a leaked prompt
FEWEST_WORDS = 8  # of a prompt that is looked for inside longer texts; shorter ones stand there by chance
_WORD = re.compile(r"\w+")


class Leak(Description):
    """A prompt that is asked and stands word for word in data that is trained on. ``num``: how many of the set."""

    data: str
    prompts: str
    num: int
    example: str


@dataclass(frozen=True)
class LeakJob:
    """Compare, word for word, everything that one root run trains on with everything that it is asked."""

    key: str
    label: str
    store: Path
    book: DataBook
    root: int
    trained: tuple[str, ...]
    asked: tuple[str, ...]
    after: tuple[str, ...] = ()

    def run(self, report: Callable[[Event], None]) -> tuple[Leak, ...]:
        """Return the leaks; items that are meant to be known (split ``trained``) are none."""
        library = Library(self.book, self.root, self.store)
        asked = {
            name: {text: item for item in library.items(name) if item.split != "trained" for text in _asked(item)}
            for name in self.asked
        }
        return tuple(leak for name in self.trained for leak in leaks(name, library.texts(name), asked))


def leaks(name: str, texts: Sequence[TrainingText], asked: dict[str, dict[str, Item]]) -> Iterable[Leak]:
    """Yield, per set of prompts, what of it the texts of ``name`` hold. ``asked``: by normalised text, by set."""
    trained = {_normalised(part) for text in texts for part in _trained(text)}
    inside = _inside(trained, {prompt for items in asked.values() for prompt in items})
    for prompts, items in asked.items():
        found = sorted((trained | inside) & items.keys())
        if found:
            yield Leak(data=name, prompts=prompts, num=len(found), example=found[0][:SHOWN])


def _inside(trained: Iterable[str], prompts: Iterable[str]) -> set[str]:
    """Return the prompts of 8 words or more that stand inside a longer text, whatever the signs between the words."""
    by_beginning: dict[tuple[str, ...], list[tuple[tuple[str, ...], str]]] = defaultdict(list)
    for prompt in prompts:
        words = tuple(_WORD.findall(prompt))
        if len(words) >= FEWEST_WORDS:
            by_beginning[words[:FEWEST_WORDS]].append((words, prompt))
    found: set[str] = set()
    for text in trained if by_beginning else ():
        read = _WORD.findall(text)
        for place in range(len(read) - FEWEST_WORDS + 1):
            for words, prompt in by_beginning.get(tuple(read[place : place + FEWEST_WORDS]), ()):
                if tuple(read[place : place + len(words)]) == words:
                    found.add(prompt)
    return found


def _asked(item: Item) -> Iterable[str]:
    """Yield what a training text must not hold: the last thing a user says, and held-out text."""
    if item.messages:
        yield _normalised(item.messages[-1].content)
    if item.text:
        yield _normalised(item.text)


def _trained(text: TrainingText) -> Iterable[str]:
    """Yield what a model reads as one piece: documents, and the turns of chats and pairs."""
    if isinstance(text, Document):
        yield text.text
        return
    for turn in text.turns if isinstance(text, Chat) else text.prompt:
        yield turn.content


def _normalised(text: str) -> str:
    return " ".join(text.lower().split())


def absent_warnings(session: Session) -> Iterable[str]:
    """Yield one sentence for data whose files are not here: they are planned by what the study declares alone."""
    book = session.workshop.book
    roots = dict.fromkeys(lineage.replicate.root for lineage in session.tree.lineages)
    absent = [(name, path) for name in session.study.data for root in roots if (path := book.absent_file(name, root))]
    found = list(dict.fromkeys(absent))
    if found:
        listed = ", ".join(f"{name}: {path}" for name, path in found)
        yield f"{len(found)} files are not here ({listed}): what they hold is not known, a run stops before training"


def confound_warnings(
    session: Session,
    facts: DataFacts,
    curricula: Iterable[PlannedPhase],
    *,
    read_data: bool,
    is_shared: bool = False,
) -> tuple[str, ...]:
    """Return what data and checkpoints of the study confound; ``read_data`` and ``is_shared`` as in leak_warnings."""
    phases = tuple(curricula)
    return (
        *teacher_warnings(session, facts),
        *template_warnings(session),
        *absent_warnings(session),
        *rate_warnings(phases),
        *reread_warnings(phases),
        *leak_warnings(session, read_data=read_data, is_shared=is_shared),
    )


def leak_warnings(session: Session, *, read_data: bool, is_shared: bool = False) -> tuple[str, ...]:
    """Return one sentence per pair of data and prompts that share a request, exactly or nearly.

    With ``read_data`` all data is read, in child processes; what was found is remembered under the data's recipes.
    Without, only what is remembered is said. ``is_shared``: the sentences are for files that are handed on, and quote
    no prompt.
    """
    try:
        asked = item_sets(session.study)
    except UpbringingError:
        return ()
    nearly = _resembling(session, is_shared=is_shared) if read_data else ()
    return (*_exact(session, asked, read_data=read_data, is_shared=is_shared), *nearly)


def _exact(session: Session, asked: tuple[str, ...], *, read_data: bool, is_shared: bool) -> Iterable[str]:
    known: dict[str, tuple[Leak, ...]] = {}
    jobs = []
    for root, names in _trained_names(session).items():
        key = _leaks_key(session, root, names, asked)
        found = recall(session.store, key)
        if isinstance(found, list):
            known[key] = tuple(Leak.model_validate(each) for each in found)
        elif read_data:
            book = session.workshop.book
            jobs.append(LeakJob(key, "leaks", session.store.root, book, root, names, asked))
    outcomes = session.workshop.run(jobs, lambda event: None, lambda outcome: None) if jobs else {}
    problems = []
    for job in jobs:
        outcome = outcomes[job.key]
        if outcome.error is not None:
            problems.append(f"whether training data holds prompts that are asked was not checked: {outcome.error}")
        else:
            known[job.key] = outcome.value
            keep(session.store, job.key, [each.model_dump() for each in outcome.value])
    largest: dict[tuple[str, str], Leak] = {}
    for leak in (each for found in known.values() for each in found):
        before = largest.get((leak.data, leak.prompts))
        largest[leak.data, leak.prompts] = leak if before is None or leak.num > before.num else before
    for leak in largest.values():
        example = "" if is_shared else f" ({leak.example!r})"
        yield (
            f"{leak.num} prompts of {leak.prompts!r} stand word for word in the training data {leak.data!r}{example}: "
            "what is measured on them is memory"
        )
    yield from dict.fromkeys(problems)


def _trained_names(session: Session) -> dict[int, tuple[str, ...]]:
    """Return, per root run, the names of all data that its stages read."""
    names: dict[int, dict[str, None]] = defaultdict(dict)
    for lineage in session.tree.lineages:
        for run in lineage.runs:
            if run.stream is not None:
                names[run.root].update(dict.fromkeys(run.stream.names.values()))
    return {root: tuple(sorted(found)) for root, found in names.items()}


def _leaks_key(session: Session, root: int, names: Sequence[str], asked: Sequence[str]) -> str:
    book = session.workshop.book
    return remembered_key("leaks", [LEAKS_VERSION, [[name, book.key(name, root)] for name in (*names, *asked)]])


def _resembling(session: Session, *, is_shared: bool) -> Iterable[str]:
    """Yield what the check of requests finds, where packages or prompt sets are trained on and are here."""
    try:
        checked = check_data(session)
    except UpbringingError as error:
        yield f"whether training requests resemble prompts that are asked was not checked: {error}"
        return
    if checked.overlaps:
        nearest = max(checked.overlaps, key=lambda each: each.similarity)
        example = "" if is_shared else f"{nearest.asked[:SHOWN]!r} "
        yield (
            f"{len(checked.overlaps)} prompts that are asked resemble requests that are trained on (nearest: {example}"
            f"in {nearest.prompts!r}, {nearest.similarity:.2f}): `upbringing data check` lists them"
        )


def teacher_warnings(session: Session, facts: DataFacts) -> Iterable[str]:
    """Yield one sentence per stage whose targets were written by other, or unknown, teachers in some arms."""
    teachers: dict[tuple[int, str], dict[str, tuple[str, ...]]] = defaultdict(dict)
    for lineage in session.tree.lineages:
        for run in lineage.runs:
            if run.stream is not None and (found := facts.streams.get(run.stream.key)) is not None:
                teachers[lineage.replicate.number, run.stage_name][lineage.arm.name] = found.teachers
    warned: set[str] = set()
    for (_, stage), by_arm in teachers.items():
        groups: dict[tuple[str, ...], list[str]] = defaultdict(list)
        for arm, who in by_arm.items():
            groups[who].append(arm)
        unknown = [arm for arm, who in by_arm.items() if UNKNOWN_TEACHER in who]
        if len(groups) > 1 and stage not in warned:
            listed = "; ".join(f"{', '.join(arms)}: {' and '.join(who) or 'none'}" for who, arms in groups.items())
            yield (
                f"stage {stage!r} learns from different teachers in different arms ({listed}): differences between "
                "them may be the teachers'"
            )
        elif unknown and stage not in warned:
            yield f"stage {stage!r} learns from targets of an unknown teacher: what it imitates cannot be said"
        warned.add(stage)


def template_warnings(session: Session) -> Iterable[str]:
    """Yield one sentence per chain of existing checkpoints whose chat template changes, or cannot be compared."""
    for lineage in {each.arm.name: each for each in session.tree.lineages}.values():
        chain = _chain(lineage)
        if len(chain) < 2:
            continue
        here = {name: session.workshop.checkpoints.find(stage.checkpoint) for name, stage in chain.items()}
        absent = [name for name, folder in here.items() if folder is None and chain[name].template is None]
        if absent:
            yield (
                f"arm {lineage.arm.name!r}: whether the chat template changes was not checked, because "
                f"{', '.join(absent)} {'is' if len(absent) == 1 else 'are'} not here"
            )
        hashes: dict[str, list[str]] = defaultdict(list)
        for name, stage in chain.items():
            folder = here[name]
            template = stage.template if folder is None or stage.template is not None else chat_template(folder)
            if folder is not None or stage.template is not None:
                hashes["none" if template is None else text_sha256(template)[:8]].append(name)
        if len(hashes) > 1:
            listed = "; ".join(f"{', '.join(names)}: {digest}" for digest, names in hashes.items())
            yield (
                f"arm {lineage.arm.name!r}: the chat template changes along its checkpoints ({listed}): differences "
                "between stages are confounded with it"
            )


def _chain(lineage: Lineage) -> dict[str, Existing]:
    chain = {} if isinstance(lineage.arm.start, FreshStart) else {"start": lineage.arm.start}
    return chain | {name: stage for name, stage in lineage.arm.stages.items() if isinstance(stage, Existing)}
