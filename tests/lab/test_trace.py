"""A trace asks every form that a base model understands, and looks at a few prompts first."""

from __future__ import annotations

from pathlib import Path

import pytest

from upbringing.data.item_files import ItemFile, read_items
from upbringing.formats.items import Item, Message
from upbringing.lab.trace import CLUSTERS_OF_A_FIRST_LOOK, FEWEST_FOR_A_FIRST_LOOK, first_look_study, trace_study

CHECKPOINTS = {"base": "a", "sft": "b"}


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    """As many pairs of twins as need a first look."""
    path = tmp_path / "items.jsonl"
    items = [
        Item(id=f"{request}-{number}", cluster=str(number), request=request, split="ood",  # type: ignore[arg-type]
             messages=(Message(role="user", content=f"{request} {number}"),))
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
