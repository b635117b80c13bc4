"""Registration: before the first row only where no row is there, and every later change is an amendment with a name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from upbringing.base.errors import IntegrityError
from upbringing.formats.tree import Registered, read_tree
from upbringing.lab.registering import REGISTRATION_NAME, registration
from upbringing.lab.run import Watch, build, measure, run
from upbringing.lab.session import Session, open_session

pytestmark = [pytest.mark.model, pytest.mark.timeout(300)]

STUDY = """\
name: fixed
seeds: 1
start: {kind: existing, checkpoint: FOLDER/base}
data: {prompts: {kind: items, path: FOLDER/prompts.jsonl}}
stages: {tuned: {kind: existing, checkpoint: FOLDER/tuned}}
arms: {main: {}, without: {drop: tuned}}
battery:
  - {kind: non_refusal, decoding: {kind: greedy, max_tokens: 4}}
  - {kind: over_refusal, decoding: {kind: greedy, max_tokens: 4}}
judges: [refusal_rules]
primary: [non_refusal]
margins: {non_refusal: 0.1}
contrasts:
  - {name: branch, kind: branch, level: L2, measure: non_refusal, role: primary,
     weights: {main@tuned: 1, without@start: -1}}
"""
CHANGES = {
    "margins": ("margins: {non_refusal: 0.1}", "margins: {non_refusal: 0.2}"),
    "primary": ("primary: [non_refusal]", "primary: [over_refusal]"),
    "contrasts": ("role: primary,", "role: primary, scale: logit,"),
    "battery": ("max_tokens: 4", "max_tokens: 5"),
    "judges": (
        "[refusal_rules]",
        "[refusal_rules, {kind: llm_judge, endpoint: {base_url: 'http://127.0.0.1:9', model: j}}]",
    ),
    "seed": ("seeds: 1", "seeds: 1\nseed: 7"),
    "seeds": ("seeds: 1", "seeds: 2"),
}
FAMILY = ("role: primary,", "role: primary, family: other,")


class Scene:
    """A study file, and what opens it."""

    def __init__(self, folder: Path, models: Path) -> None:
        self.folder = folder
        self.text = STUDY.replace("FOLDER", str(models))

    def opened(self, text: str, *, store: str = "store", only: tuple[str, ...] = ()) -> Session:
        path = self.folder / "study.yaml"
        path.write_text(text, encoding="utf-8")
        return open_session(path, store=self.folder / store, only=only)

    def registered(self, text: str, **options: str) -> Registered:
        session = self.opened(text, **options)
        measure(session, Watch())
        return read_tree(session.results / "tree.json").study.registered


@pytest.fixture
def scene(tmp_path: Path, tiny_folder: Path, one_process: None) -> Scene:
    return Scene(tmp_path, tiny_folder)


@pytest.mark.parametrize("field", CHANGES)
def test_each_field_has_a_hash_of_its_own(scene: Scene, field: str) -> None:
    before = registration(scene.opened(scene.text))
    after = registration(scene.opened(scene.text.replace(*CHANGES[field])))
    assert {name for name in before if before[name] != after[name]} == {field}
    assert registration(scene.opened(scene.text.replace(*FAMILY)))["contrasts"] != before["contrasts"]


def test_the_roles_of_a_protocol_are_registered_and_a_study_without_one_keeps_its_registration(scene: Scene) -> None:
    before = registration(scene.opened(scene.text))
    protocol = "protocol: {kind: sft_or_rl, cells: {base: main@start, sft: main@tuned}}\n"
    after = registration(scene.opened(scene.text + protocol))
    moved = registration(scene.opened(scene.text + protocol.replace("base: main", "base: without")))
    assert "protocol" not in before
    assert {name for name in after if before.get(name) != after[name]} == {"protocol"}  # no part has all its cells
    assert moved["protocol"] != after["protocol"]


def test_a_stated_gap_of_errors_is_registered_and_reaches_the_tree(scene: Scene) -> None:
    before = registration(scene.opened(scene.text))
    stated = scene.text + "judge_error_gap: 0.0\n"
    after = registration(scene.opened(stated))
    assert {name for name in after if before.get(name) != after[name]} == {"judge_error_gap"}
    session = scene.opened(stated)
    measure(session, Watch())
    assert read_tree(session.results / "tree.json").study.judge_error_gap == 0.0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("ratio_margins", "{over_refusal: 1.5}"),
        ("default_margins", "strict"),
        ("health_criteria", "{tuned: {last_loss: {at_most: 2}}}"),
    ],
)
def test_other_margins_are_registered_where_they_are_declared(scene: Scene, field: str, value: str) -> None:
    before = registration(scene.opened(scene.text))
    after = registration(scene.opened(f"{scene.text}{field}: {value}\n"))
    assert field not in before
    assert {name for name in after if before.get(name) != after[name]} == {field}


def test_prompts_are_hashed_as_what_is_asked(scene: Scene, tiny_folder: Path, tmp_path: Path) -> None:
    before = registration(scene.opened(scene.text))
    copied = tmp_path / "prompts.jsonl"
    lines = (tiny_folder / "prompts.jsonl").read_text(encoding="utf-8")
    copied.write_text(lines, encoding="utf-8")
    text = scene.text.replace(f"{tiny_folder}/prompts.jsonl", str(copied))
    assert registration(scene.opened(text)) == before
    copied.write_text(lines.replace("bab dek", "dek dek"), encoding="utf-8")
    after = registration(scene.opened(text))
    assert {name for name in before if before[name] != after[name]} == {"prompts"}


def test_a_change_after_the_first_row_is_an_amendment_that_names_its_field(scene: Scene) -> None:
    first = scene.registered(scene.text)
    assert (first.before_first_row, first.amendments) == (True, ())
    session = scene.opened(scene.text, only=("without",))
    run(session, Watch())
    assert read_tree(session.results / "tree.json").study.registered == first
    amended = scene.registered(scene.text.replace(*CHANGES["margins"]))
    assert (amended.sha256, amended.before_first_row) == (first.sha256, True)
    assert [each.partition(" ")[0] for each in amended.amendments] == ["margins"]
    both = scene.text.replace(*CHANGES["margins"]).replace(*CHANGES["battery"])
    session = scene.opened(both)
    _, page = run(session, Watch())
    again = read_tree(session.results / "tree.json").study.registered
    assert [each.partition(" (")[0] for each in again.amendments] == ["margins", "battery"]
    text = page.read_text(encoding="utf-8")
    assert "amended 2 times" in text
    assert again.amendments[1] in text
    assert scene.registered(both) == again


def test_it_is_not_before_the_first_row_where_another_study_measured_the_same_checkpoint(scene: Scene) -> None:
    assert scene.registered(scene.text).before_first_row
    renamed = scene.text.replace("name: fixed", "name: second").replace(*CHANGES["margins"])
    assert scene.registered(renamed).before_first_row is False
    assert scene.registered(renamed, store="fresh").before_first_row


def test_it_may_be_written_anew_until_something_was_measured(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    session = scene.opened(scene.text)
    with monkeypatch.context() as patched:
        patched.setattr("upbringing.lab.run.measure_jobs", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            measure(session, Watch(), build(session, Watch()))
    assert (session.folder / REGISTRATION_NAME).exists()
    changed = scene.registered(scene.text.replace(*CHANGES["margins"]))
    assert (changed.before_first_row, changed.amendments) == (True, ())


def test_answers_of_an_unfinished_measurement_count_as_seen(scene: Scene) -> None:
    session = scene.opened(scene.text)
    key = next(iter(build(session, Watch()).prepared.keys.values()))
    (session.store.root / "answers" / f"measure-0-{key}").mkdir()
    assert scene.registered(scene.text).before_first_row is False


def test_an_older_or_torn_registration_is_never_taken_for_one_before_the_first_row(scene: Scene) -> None:
    session = scene.opened(scene.text)
    measure(session, Watch())
    path = session.folder / REGISTRATION_NAME
    path.write_text(json.dumps({"sha256": "0" * 64, "amendments": []}), encoding="utf-8")
    assert scene.registered(scene.text).before_first_row is False
    path.write_text('{"sha256": ', encoding="utf-8")
    with pytest.raises(IntegrityError, match="torn"):
        measure(session, Watch())
