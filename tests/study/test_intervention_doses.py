"""What an intervention was, when it began and how much of a stage it became: windows counted by hand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from upbringing.base.strict_yaml import Located
from upbringing.data.sources import FileSource
from upbringing.study.intervention_doses import Intervention, RealisedDose, interventions, realised_dose
from upbringing.study.loading import study_from
from upbringing.study.recipes import DataBook
from upbringing.study.study import Study
from upbringing.study.tree import study_tree

CONTEXT, BATCH, STEPS = 24, 4, 50
NAMES = ("web", "refusals", "morals", "placebo")
MIXED = {"mix": {"web": "70%", "refusals": "20%", "morals": "10%"}}


def stage(*phases: Any, **more: Any) -> dict[str, Any]:
    return {"stages": {"pretrain": {"phases": list(phases), **more}}}


def late(until: Any, **words: Any) -> dict[str, Any]:
    return {"delay": {"of": "from_0", "stage": "pretrain", "until": until, **words}}


def study_of(arms: dict[str, Any], own: Any = None) -> Study:
    pretrain = {
        "kind": "pretrain",
        "tokens": STEPS * BATCH * CONTEXT,
        "context": CONTEXT,
        "batch_size": BATCH,
        "phases": own or [{"data": "web"}],
    }
    value = {
        "name": "doses",
        "seeds": 1,
        "start": {"kind": "existing", "checkpoint": "nowhere"},
        "data": {name: {"kind": "file", "path": f"{name}.jsonl"} for name in NAMES},
        "stages": {"pretrain": pretrain},
        "arms": arms,
        "battery": ["over_refusal"],
    }
    return study_from(Located(value, {}, "study.yaml"))


@pytest.fixture
def book(tmp_path: Path) -> DataBook:
    for name in NAMES:
        (tmp_path / f"{name}.jsonl").write_text(f'{{"text": "{name}"}}\n', encoding="utf-8")
    return DataBook({name: FileSource(path=f"{name}.jsonl") for name in NAMES}, tmp_path, 0)


def doses(study: Study, book: DataBook, steps: int = STEPS) -> Mapping[str, RealisedDose | None]:
    found = {}
    for lineage in study_tree(study, book).lineages:
        stream = lineage.runs[0].stream
        assert stream is not None
        found[lineage.arm.name] = realised_dose(interventions(study)["pretrain"], stream, steps, STEPS)
    return found


ARMS = {
    "never": {},
    "from_0": stage({"data": MIXED}),
    "from_20": late("20%"),
    "from_60_dose": late("60%", keep="dose", component=["refusals", "morals"]),
    "placebo": stage({"data": "placebo"}),
}


def test_starts_and_doses_by_hand(book: DataBook) -> None:
    """200 windows: 30 % of them are 60; of the last 160 they are 48; 75 % of the last 80 are 60 again."""
    study = study_of(ARMS)
    assert interventions(study) == {"pretrain": Intervention(frozenset({"refusals", "morals"}), frozenset({"web"}))}
    assert doses(study, book) == {
        "never": RealisedDose(None, 0.0),
        "from_0": RealisedDose(0.0, 0.3),
        "from_20": RealisedDose(0.2, 48 / 200),
        "from_60_dose": RealisedDose(0.6, 0.3),
        "placebo": None,  # it reads something else in the place of the study's own
    }


def test_inside_a_stage_only_what_was_read_counts(book: DataBook) -> None:
    half = doses(study_of(ARMS), book, steps=25)
    assert half["from_20"] == RealisedDose(0.2, 18 / 100)  # 30 % of 60 windows
    assert half["from_60_dose"] == RealisedDose(None, 0.0)
    assert doses(study_of(ARMS), book, steps=10)["from_20"] == RealisedDose(None, 0.0)
    assert doses(study_of(ARMS), book, steps=0)["from_0"] == RealisedDose(None, 0.0)


def test_the_words_of_arms_say_which_component_it_is(book: DataBook) -> None:
    arms = {**ARMS, "from_60_dose": late("60%", keep="dose", component="refusals")}
    found = doses(study_of(arms), book)
    assert interventions(study_of(arms))["pretrain"].data == {"refusals"}
    assert found["from_0"] == RealisedDose(0.0, 0.2)
    mixed = [{"data": MIXED}]
    dosed = {"plain": {}, "none": {"dose": {"stage": "pretrain", "component": "morals", "share": 0.0}}}
    dosed["more"] = {"dose": {"stage": "pretrain", "component": "morals", "share": "40%"}}
    assert doses(study_of(dosed, mixed), book) == {
        "plain": RealisedDose(0.0, 0.1),
        "none": RealisedDose(None, 0.0),
        "more": RealisedDose(0.0, 0.4),
    }


def test_later_phases_and_anneals_without_words(book: DataBook) -> None:
    """160 windows whose share moves from 0 to 1 are 80; the study's own replay is part of every phase."""
    moving = {"from": {"web": 1.0}, "to": {"refusals": 1.0}}
    arms = {"never": {}, "moving": stage({"until": "20%", "data": "web"}, {"data": moving})}
    assert doses(study_of(arms), book)["moving"] == RealisedDose(0.2, 80 / 200)
    replay = {"replay": {"data": "morals", "share": "25%"}}
    arms = {"never": {}, "late": stage({"until": "50%", "data": "web"}, {"data": "refusals"}, **replay)}
    assert doses(study_of(arms), book)["late"] == RealisedDose(0.5, 75 / 200)


def test_without_an_intervention_there_is_no_dose(book: DataBook) -> None:
    assert interventions(study_of({"one": {}, "other": stage({"data": "placebo"})})) == {}
