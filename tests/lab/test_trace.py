"""A trace asks every form that a base model understands, and looks at a few prompts first."""

from __future__ import annotations

from pathlib import Path

import pytest

from upbringing.base.errors import DataError, StudyError
from upbringing.data.item_files import ItemFile, read_items
from upbringing.formats.items import Item, Message
from upbringing.lab.trace import CLUSTERS_OF_A_FIRST_LOOK, FEWEST_FOR_A_FIRST_LOOK, first_look_study, trace_study
from upbringing.lab.verbs import trace
from upbringing.study.recipes import DataBook
from upbringing.study.tree import study_tree

CHECKPOINTS = {"base": "a", "sft": "b"}


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    """As many pairs of twins as need a first look."""
    path = tmp_path / "items.jsonl"
    items = [
        Item(id=f"{request}-{number}", cluster=str(number), request=request, split="ood",  # type: ignore[arg-type]
             messages=(Message(role="user", content=f"{request} {number}"),),
             safe_continuations=("I would rather not.",), unsafe_continuations=("Here is how it is done.",))
        for request in ("harmful", "benign")
        for number in range(FEWEST_FOR_A_FIRST_LOOK)
    ]  # fmt: skip
    path.write_text("\n".join(item.model_dump_json() for item in items), encoding="utf-8")
    return path


def test_a_first_look_asks_whole_clusters_of_the_same_questions(prompts: Path) -> None:
    first, whole = first_look_study(CHECKPOINTS, prompts), trace_study(CHECKPOINTS, prompts)
    assert first is not None
    assert (first.battery, first.stages, first.judges) == (whole.battery, whole.stages, whole.judges)
    assert first.name != whole.name
    source = first.data["prompts"]
    assert isinstance(source, ItemFile)
    asked = read_items(source, prompts.parent)
    expected = [
        f"{request}-{number}" for request in ("harmful", "benign") for number in range(CLUSTERS_OF_A_FIRST_LOOK)
    ]
    assert [item.id for item in asked] == expected


def test_another_trace_has_results_of_its_own(prompts: Path) -> None:
    one, other = {"base": "a", "sft": "b"}, {"base": "a", "sft": "c"}
    names = [trace_study(each, prompts).name for each in (one, other, {"sft": "b", "base": "a"})]
    assert len({*names, trace_study(one, None).name}) == 4
    assert trace_study(one, prompts).name == names[0]
    assert trace_study(one, prompts, name="mine").name == "mine"


def test_no_later_checkpoint_is_taken_for_the_first(prompts: Path) -> None:
    assert list(trace_study({"start": "a", "sft": "b"}, prompts).stages) == ["sft"]
    with pytest.raises(StudyError, match="only the first checkpoint of a trace can be called 'start'"):
        trace_study({"base": "a", "start": "b"}, prompts)


def test_the_first_checkpoint_keeps_its_name(prompts: Path) -> None:
    def cells(named: dict[str, str]) -> list[str]:
        made = trace_study(named, prompts)
        return [cell.name for cell in study_tree(made, DataBook(made.data, prompts.parent, made.seed)).cells]

    assert cells(CHECKPOINTS) == ["main@base", "main@sft"]
    assert cells({"start": "a", "sft": "b"}) == ["main@start", "main@sft"]
    assert "label" not in trace_study({"start": "a", "sft": "b"}, prompts).model_dump(mode="json")["start"]


def test_few_prompts_need_no_first_look(prompts: Path) -> None:
    lines = prompts.read_text(encoding="utf-8").splitlines()
    prompts.write_text("\n".join(lines[: FEWEST_FOR_A_FIRST_LOOK - 1]), encoding="utf-8")
    assert first_look_study(CHECKPOINTS, prompts) is None


def test_a_trace_asks_forms_that_need_no_template(prompts: Path) -> None:
    forms = {
        getattr(each, "elicitations", getattr(each, "forms", ())) for each in trace_study(CHECKPOINTS, prompts).battery
    }
    assert ("E1", "E0", "E2") in forms
    assert ("chat", "question") in forms


def test_a_trace_asks_only_what_its_prompts_allow(prompts: Path) -> None:
    def measures() -> set[str]:
        return {measure.id for measure in trace_study(CHECKPOINTS, prompts).battery}

    assert "bits_per_byte" not in measures()
    text = Item(
        id="text",
        cluster="text",
        request="benign",
        text="Water boils at a lower temperature on a mountain.",
        split="ood",
    )
    prompts.write_text(prompts.read_text(encoding="utf-8") + "\n" + text.model_dump_json(), encoding="utf-8")
    assert "bits_per_byte" in measures()


def test_without_prompts_the_shipped_sets_are_asked_and_decide_by_discrimination() -> None:
    whole, first = trace_study(CHECKPOINTS), first_look_study(CHECKPOINTS)
    assert whole.prompts == tuple(whole.data) == ("twins", "cloze", "texts")
    assert {each.id for each in whole.battery} >= {"over_refusal", "discrimination", "knowledge", "bits_per_byte"}
    assert whole.primary == ("discrimination",)
    assert "non_refusal" not in {each.id for each in whole.battery}  # harmful halves of twins are no attacks
    assert first is not None
    assert (first.prompts, first.primary) == (("twins",), ("discrimination",))


def test_one_checkpoint_is_no_trace(prompts: Path) -> None:
    for asked in (None, prompts):
        with pytest.raises(StudyError, match="at least two checkpoints"):
            trace_study({"base": "a"}, asked)


@pytest.mark.parametrize(
    "named", [{"Base": "a", "sft": "b"}, {"base": "a", "SFT": "b"}, {"base": "a", "s\x1b[2J": "b"}]
)
def test_a_name_that_no_stage_can_have_is_refused_in_words(named: dict[str, str]) -> None:
    for made in (trace_study, first_look_study):
        with pytest.raises(StudyError, match="a stage of a trace matches"):
            made(named)


def test_prompts_that_are_not_there_and_prompts_that_are_no_text_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_bytes(b"{\xff")
    for name, said in (("none", "cannot read .*No such file"), ("p.jsonl", "byte 2 is not UTF-8")):
        with pytest.raises(DataError, match=said):
            trace_study(CHECKPOINTS, tmp_path / name)


def test_a_hub_id_without_its_revision_is_told_from_a_folder(
    prompts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StudyError, match=r"'org/name' is no folder here .* A hub id reads org/name@revision"):
        trace({"base": "org/name", "sft": "org/other"}, prompts, store=tmp_path / "store")
