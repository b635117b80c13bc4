"""Measure every checkpoint of a tree with one battery: one job per checkpoint, cached under the weights' hash."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from upbringing.base.errors import IntegrityError, StudyError
from upbringing.base.files import remove_tree
from upbringing.base.fingerprint import fingerprint, text_sha256
from upbringing.base.own_part import OwnPart
from upbringing.base.streams import derived_seed
from upbringing.battery.engine import BATTERY_VERSION, engine_model, local_model, measure
from upbringing.battery.judges.llm_judge import LlmJudge
from upbringing.battery.judges.world_oracle import WorldOracle
from upbringing.battery.measure import Measure
from upbringing.battery.needs import AnswerNeed, LikelihoodNeed
from upbringing.battery.pairs.comparing import alone
from upbringing.data.item_files import ItemFile
from upbringing.data.planted.source import Planted
from upbringing.data.tokenizer import template_sha256, tokenizer_sha256
from upbringing.data.worlds.causes_world import CausesWorld
from upbringing.data.worlds.oracle import OracleJudge
from upbringing.formats.answers import write_answers
from upbringing.formats.items import Item, Judge
from upbringing.formats.record import BuildProfile, read_record
from upbringing.formats.rows import Row, rows_table, write_rows
from upbringing.formats.tree import ConditionInfo
from upbringing.lab.building.executor import Event
from upbringing.lab.building.library import Library
from upbringing.lab.building.special_tokens import lineage_tokens
from upbringing.lab.building.workshop import KEY_CHARACTERS
from upbringing.lab.measurement.searched import write_searched
from upbringing.lab.measurement.shallow import shallow_prefixes
from upbringing.lab.measurement.spelled import spelled_of, write_spelled_items
from upbringing.lab.measurement.twins import require_twins
from upbringing.lab.storage.store import Room, Store
from upbringing.models.asking import Model
from upbringing.models.decoding import SafeBeam
from upbringing.models.loading import LoadedModel, load_model
from upbringing.models.local import LocalModel
from upbringing.models.openvino import CONVERSION_VERSION, require_openvino
from upbringing.models.weights import settings_sha256, weights_sha256
from upbringing.study.recipes import DataBook
from upbringing.study.study import Study
from upbringing.study.tree import Node
from upbringing.training.publish import library_versions

ROWS, ANSWERS, CONDITIONS = "rows.parquet", "answers.parquet", "conditions.json"
UNASKED = "unasked.json"


def item_sets(study: Study) -> tuple[str, ...]:
    """Return the names of the data whose items are asked: the declared prompts, else every world."""
    names = study.prompts or tuple(
        name for name, entry in study.data.items() if isinstance(entry, CausesWorld | ItemFile | Planted)
    )
    if not names:
        raise StudyError("nothing to ask: declare prompts: [...] with data that has items, or a world", ("prompts",))
    return names


def asked_items(study: Study, book: DataBook, root: int) -> list[Item]:
    """Return every item that checkpoints of root run ``root`` are asked; ``DataError`` for twins that are not."""
    library, names = Library(book, root), item_sets(study)
    items = [item for name in names for item in library.items(name)]
    require_twins(items, names, library)
    return items


def study_judges(study: Study, book: DataBook, root: int) -> list[Judge]:
    """Return the declared judges that need no key, or the exact oracle of every world that is asked where none is.

    Judges behind endpoints are asked later, by the process that holds the keys (``lab.judging``).
    """
    needs_worlds = not study.judges or any(isinstance(each, WorldOracle) for each in study.judges)
    known = Library(book, root).oracles() if needs_worlds else {}
    oracles = [known[name] for name in item_sets(study) if name in known]
    if not study.judges:
        return oracles
    judges: list[Judge] = []
    for description in study.judges:
        if isinstance(description, WorldOracle):
            judges += [description.of(each) for each in oracles if isinstance(each, OracleJudge)]
        elif not isinstance(description, LlmJudge):
            judges.append(description.build())
    return judges


@dataclass(frozen=True)
class MeasureJob:
    """Measure one checkpoint. ``checkpoint``: its key; ``folder``: where an existing one lies; ``template``: the chat
    template that an existing one is asked in instead of its own; ``threads``: of its process (``measurement.threads``).
    """

    key: str
    label: str
    store: Path
    study: Study
    book: DataBook
    root: int
    checkpoint: str
    folder: Path | None
    profile: BuildProfile
    after: tuple[str, ...] = ()
    template: str | None = None
    threads: int = 1

    def run(self, report: Callable[[Event], None]) -> str:
        """Publish rows and answers and return their key."""
        store = Store(self.store)
        folder = self.checkpoint_folder()
        items = asked_items(self.study, self.book, self.root)
        judges = study_judges(self.study, self.book, self.root)
        key = self.measurement_key(folder, items, judges)

        def fill(target: Path) -> None:
            self.require_whole(store)
            self._measure(folder, items, judges, target, report)

        store.publish("rows", key, fill)
        if self._batches.exists():
            remove_tree(self._batches)
        return key

    def _measure(
        self,
        folder: Path,
        items: list[Item],
        judges: list[Judge],
        target: Path,
        report: Callable[[Event], None],
    ) -> None:
        import torch

        torch.set_num_threads(self.threads)
        measured = measure(
            self.model(folder),
            checkpoint_id=self.checkpoint,
            battery=alone(self.study.battery),
            items=items,
            judges=judges,
            seed=derived_seed(self.study.seed, "decoding"),
            answers_cache=self._batches,
            on_progress=lambda done, total: report(Event(self.key, done, total)),
            judged_later=any(isinstance(each, LlmJudge) for each in self.study.judges),
        )
        write_measured(measured.rows, measured.conditions, target)
        write_answers(measured.answers, target / ANSWERS)
        write_searched(measured.searched, self.checkpoint, target)
        write_spelled_items(spelled_of(alone(self.study.battery), items, folder), target)
        unasked = [[*need, reason] for need, reason in measured.unasked.items()]
        (target / UNASKED).write_text(json.dumps(sorted(unasked)), encoding="utf-8")

    def model(self, folder: Path) -> Model:
        """Return what answers for the checkpoint in ``folder``, which is whole."""
        return engine_model(self.local(folder), self.study.engine, self._batches)

    def local(self, folder: Path) -> LocalModel:
        """Return the network in ``folder`` as a model that can be asked."""
        local = local_model(self.loaded(folder), precision=self.study.measure_precision, hashed=True)
        return replace(local, learned_tokens=lineage_tokens(Store(self.store), folder))

    def require_whole(self, store: Store) -> None:
        """Raise ``IntegrityError`` unless every byte that is about to be loaded is the one that was published."""
        room: Room = "checkpoints" if self.folder is None else "existing"
        key = self.checkpoint if self.folder is None else self.folder.name
        if self.folder is not None and self.folder.parent != store.root / room:
            return  # a folder of the user's, which has no manifest
        if store.whole(room, key) is None:
            raise IntegrityError(f"the checkpoint {key} was damaged: run the same command again to rebuild it")

    @property
    def _batches(self) -> Path:
        """Answers of finished batches, until the rows are published."""
        return self.store / "answers" / self.key

    def folder_if_built(self) -> Path | None:
        """Return where the checkpoint lies; ``None`` for one that is not in the store, or has no weights of its own."""
        return self.folder or Store(self.store).find("checkpoints", self.checkpoint)

    def checkpoint_folder(self) -> Path:
        """Return where the checkpoint lies; raises ``IntegrityError`` if it was not built."""
        folder = self.folder_if_built()
        if folder is None:
            raise IntegrityError(f"the checkpoint {self.checkpoint} is not in the store: build it first")
        return folder

    def loaded(self, folder: Path) -> LoadedModel:
        """Return the checkpoint in ``folder`` with the chat template that it is asked in."""
        loaded = load_model(folder, profile=self.profile, precision=self.study.measure_precision)
        if self.template is not None:
            loaded.tokenizer.chat_template = self.template
        return loaded

    def identity(self, folder: Path) -> dict[str, str]:
        """Return the hashes of weights, tokenizer and template in ``folder``, which must be those of its record."""
        found = _identity(folder, recorded=self.folder is None)
        return found if self.template is None else {**found, "template": text_sha256(self.template)}

    def measurement_key(self, folder: Path, items: Sequence[Item], judges: Sequence[Judge]) -> str:
        """Return the key: what is measured, how, and the weights' hash, never a name or a path."""
        value = {
            **self.identity(folder),
            "checkpoint": self.checkpoint,
            "battery": [measure.model_dump(mode="json") for measure in alone(self.study.battery)],
            "items": fingerprint([item.model_dump(mode="json") for item in items]),
            "judges": [judge.id for judge in judges],
            "precision": self.study.measure_precision,
            "attention": self.profile.masked_attention,
            "seed": self.study.seed,
            "version": BATTERY_VERSION,
            "versions": library_versions(),
        }
        if self.profile.device != "cpu":  # older keys stay
            value["device"] = self.profile.device
        if self.threads != 1 and self.study.measure_precision == "bf16":  # in fp32 answers are those of one thread
            value["threads"] = self.threads
        if own := [each.model_dump(mode="json") for each in self.study.judges if isinstance(each, OwnPart)]:
            value["own_judges"] = own
        if spelled := spelled_of(alone(self.study.battery), items, folder):
            value["spelled"] = spelled
        if shallow := shallow_prefixes(alone(self.study.battery), items, folder):
            value["shallow"] = shallow
        if tags := tags_of(self.study.battery, items):
            learned = lineage_tokens(Store(self.store), folder)
            value["tags"] = {tag: learned.lacks(tag) for tag in tags}
        if self.study.engine == "openvino":
            value["engine"] = {"conversion": CONVERSION_VERSION, "threads": self.threads, **require_openvino()}
        return fingerprint(value)[:KEY_CHARACTERS]


def write_measured(rows: Sequence[Row], conditions: Sequence[ConditionInfo], target: Path) -> None:
    """Write rows and their conditions into the folder of a measurement."""
    write_rows(rows_table(rows), target / ROWS)
    plain = [condition.model_dump(mode="json") for condition in conditions]
    (target / CONDITIONS).write_text(json.dumps(plain, sort_keys=True), encoding="utf-8")


def tags_of(battery: Sequence[Measure], items: Sequence[Item]) -> list[str]:
    """Return the special tokens that measures of ``battery`` rely on: what a lineage learned of them decides rows."""
    needs = [need for each in battery for need in each.needs(items)]
    decodings = {need.decoding for need in needs if isinstance(need, AnswerNeed)}
    tags = {decoding.tag for decoding in decodings if isinstance(decoding, SafeBeam)}
    return sorted(tags | {need.token for need in needs if isinstance(need, LikelihoodNeed) and need.token is not None})


def _identity(folder: Path, *, recorded: bool) -> dict[str, str]:
    """Return the hashes of weights, tokenizer and template; those of a ``recorded`` checkpoint must be its record's,
    and another's settings are hashed too.
    """
    found = {
        "weights": weights_sha256(folder),
        "tokenizer": tokenizer_sha256(folder),
        "template": template_sha256(folder),
    }
    if not recorded:  # a checkpoint of others, whose configuration no key holds
        return {**found, "settings": settings_sha256(folder)}
    record = read_record(folder)
    for name, digest in found.items():
        expected = getattr(record, f"{name}_sha256")
        if digest != expected:
            raise IntegrityError(
                f"the {name} of {folder.name} is {digest[:12]}, its record says {expected[:12]}: "
                "run the same command again to rebuild it"
            )
    return found


def asked_in(node: Node) -> str | None:
    """Return the chat template that an existing checkpoint is declared to be asked in; ``None`` = its own."""
    return None if node.existing is None else node.existing.template


def gathered(
    store: Store, keys: Sequence[str], judged: Sequence[pa.Table] = ()
) -> tuple[pa.Table, list[Path], list[ConditionInfo]]:
    """Return all rows as one table, the answers files, and the distinct conditions of measurements ``keys``.

    A condition under which checkpoints were asked in different templates names none; each checkpoint says its own.

    ``judged``: further rows, of judges that were asked later.
    """
    tables, answers = list(judged), []
    conditions: dict[str, ConditionInfo] = {}
    for key in keys:
        folder = store.whole("rows", key)
        if folder is None:
            raise IntegrityError(f"the measurement {key} vanished or was damaged: run the same command again")
        tables.append(pq.read_table(folder / ROWS))
        if (folder / ANSWERS).exists():  # none where two checkpoints were held against each other
            answers.append(folder / ANSWERS)
        for plain in json.loads((folder / CONDITIONS).read_bytes()):
            condition = ConditionInfo.model_validate(plain)
            known = conditions.setdefault(condition.id, condition)
            if known != condition:  # asked of each checkpoint in its own template: no one of them is the condition's
                conditions[condition.id] = known.model_copy(update={"template": None})
    unified = pa.concat_tables([table.unify_dictionaries() for table in tables])
    return unified, answers, [conditions[name] for name in sorted(conditions)]
