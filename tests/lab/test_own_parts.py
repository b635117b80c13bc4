"""Another package's measure, judge and transform in a study in Python: run in workers, identified by their code."""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, Literal

import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

import upbringing
from upbringing.base.errors import StudyError
from upbringing.base.own_part import OwnPart
from upbringing.data.sources import FileSource
from upbringing.formats.answers import read_answers
from upbringing.formats.tree import read_tree
from upbringing.lab.building.library import Library
from upbringing.study.data import Derived
from upbringing.study.recipes import DataBook
from upbringing.study.study import Study

STUDY = """\
name: own-parts
question: Does another package's measure run?
seeds: 1
start: {{kind: existing, checkpoint: {folder}/base}}
data: {{prompts: {{kind: items, path: {folder}/prompts.jsonl}}}}
stages: {{tuned: {{kind: existing, checkpoint: {folder}/tuned}}}}
battery: [{battery}]
judges: [refusal_rules]
"""


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The package ``acme_parts``, copied to where it can be changed, and on the path."""
    shutil.copytree(Path(__file__).parent / "acme_parts", tmp_path / "packages" / "acme_parts")
    monkeypatch.syspath_prepend(str(tmp_path / "packages"))
    sys.modules.pop("acme_parts", None)
    yield importlib.import_module("acme_parts")
    sys.modules.pop("acme_parts", None)


def study_with(tiny_folder: Path, tmp_path: Path, battery: Sequence[Any], judges: Sequence[Any]) -> Study:
    path = tmp_path / "own.yaml"
    path.write_text(STUDY.format(folder=tiny_folder, battery="over_refusal"), encoding="utf-8")
    declared = dict(upbringing.load_study(path))
    return Study(**(declared | {"battery": tuple(battery), "judges": tuple(judges)}))


@pytest.mark.model
@pytest.mark.timeout(300)
def test_a_measure_and_a_judge_of_another_package_run_and_changed_code_is_measured_anew(
    acme: ModuleType, tiny_folder: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    study = study_with(tiny_folder, tmp_path, [acme.Answered()], [acme.Vowels(at_least=1)])
    results = upbringing.measure(study, store=store)
    rows = pq.read_table(results / "rows.parquet").to_pylist()
    assert {row["measure"] for row in rows} == {"answered"}
    assert {row["judge"] for row in rows} == {"acme-vowels-1/1"}
    assert len(rows) == 2 * 8  # two checkpoints, eight benign requests
    said = {each["response"]: each["answer"] for each in read_answers(results / "answers").to_pylist()}
    vowels = {response: sum(letter in "aeiou" for letter in text) for response, text in said.items()}
    assert {row["response"]: row["value"] for row in rows} == {
        row["response"]: float(vowels[row["response"]] >= 1) for row in rows
    }
    assert [info.id for info in read_tree(results / "tree.json").measures] == ["answered"]

    keys = set((store / "rows").iterdir())
    upbringing.measure(study, store=store)
    assert set((store / "rows").iterdir()) == keys  # nothing is stale

    source = Path(acme.__file__ or "")
    source.write_text(source.read_text(encoding="utf-8") + "\n# a change\n", encoding="utf-8")
    upbringing.measure(study, store=store)
    assert len(set((store / "rows").iterdir()) - keys) == 2


def test_a_transform_of_another_package_enters_what_data_are_identified_by(acme: ModuleType) -> None:
    derived = Derived(source="pages", transforms=(acme.Shout(),))
    (written,) = derived.model_dump(mode="json")["transforms"]
    assert written == {"kind": "acme/shout", "source_sha256": acme.Shout().source_sha256}
    built_in = Derived(source="pages", transforms=("sample",))  # type: ignore[arg-type]
    assert built_in.model_dump(mode="json")["transforms"] == [{"kind": "sample", "share": 1.0}]


def test_a_transform_of_another_package_changes_what_is_read(acme: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "pages.jsonl").write_text('{"text": "rain falls"}\n', encoding="utf-8")
    entries = {"pages": FileSource(path="pages.jsonl"), "loud": Derived(source="pages", transforms=(acme.Shout(),))}
    book = DataBook(entries, tmp_path, seed=0)
    assert [text.text for text in Library(book, 0).texts("loud")] == ["RAIN FALLS"]
    assert book.key("loud", 0) != book.key("pages", 0)
    assert book.recipe("loud", 0)["transforms"][0]["source_sha256"] == acme.Shout().source_sha256


def test_a_study_file_cannot_name_another_package(tiny_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(STUDY.format(folder=tiny_folder, battery="acme/answered"), encoding="utf-8")
    with pytest.raises(StudyError, match="acme/answered"):
        upbringing.load_study(path)


class Nameless(OwnPart):
    """A kind without an organisation."""

    kind: Literal["nameless"] = "nameless"


class Lacking(OwnPart):
    """A measure that lacks what measures have."""

    kind: Literal["acme/lacking"] = "acme/lacking"
    id: str = "lacking"
    version: Literal[1] = 1
    judged: ClassVar[bool] = False


def test_what_is_no_measure_is_named(tiny_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"kind is organisation/name; found 'nameless'"):
        study_with(tiny_folder, tmp_path, [Nameless()], [])
    with pytest.raises(ValidationError, match=r"Lacking \(acme/lacking\) lacks info, needs, rows, which every measure"):
        study_with(tiny_folder, tmp_path, [Lacking()], [])


def test_a_class_that_no_worker_can_import_is_refused(tiny_folder: Path, tmp_path: Path) -> None:
    namespace: dict[str, Any] = {"__name__": "nowhere", "OwnPart": OwnPart, "Literal": Literal}
    code = "class Typed(OwnPart):\n    kind: Literal['acme/typed'] = 'acme/typed'"
    exec(compile(code, "typed", "exec", dont_inherit=True), namespace)
    with pytest.raises(ValidationError, match="put the class into a module of its own"):
        study_with(tiny_folder, tmp_path, [namespace["Typed"]()], [])
