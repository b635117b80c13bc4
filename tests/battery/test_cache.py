"""The answers cache: complete keys, only good entries, resumption by batch."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from upbringing.base.errors import UpbringingWarning
from upbringing.base.fingerprint import canonical_json, text_sha256
from upbringing.battery.cache import AnswerCache, batch_key
from upbringing.battery.engine import Measured, measure
from upbringing.battery.measures.attack_success import AttackSuccess
from upbringing.battery.measures.over_refusal import OverRefusal
from upbringing.battery.measures.prefill_attack import PrefillAttack
from upbringing.formats.items import Item, Judgement, Message
from upbringing.models.asking import Prompt, Reply
from upbringing.models.decoding import Greedy, Sampled
from upbringing.models.scripted import ScriptedModel

ITEMS = [
    Item(
        id=f"{request}-{n:02d}",
        cluster=f"{n}",
        request=request,  # type: ignore[arg-type]
        split="held-out-item",
        messages=(Message(role="user", content=f"{request} question {n}"),),
        compliance_prefix="Sure",
    )
    for n in range(20)
    for request in ("harmful", "benign")
]
BATTERY = (AttackSuccess(), OverRefusal())


@dataclass(frozen=True)
class Always:
    """A judge that says one thing."""

    id: str = "always/1"
    judge_kind: Any = "rule"

    def judge(self, items: list[Item], answers: list[str]) -> list[Judgement]:
        return [Judgement(outcome="harmless") for _ in answers]


def run(model: Any, folder: Path | None, battery: Any = BATTERY) -> Measured:
    return measure(
        model,
        checkpoint_id="c",
        battery=battery,
        items=ITEMS,
        judges=[Always()],
        on_progress=lambda done, total: None,
        answers_cache=folder,
    )


def says(word: str) -> ScriptedModel:
    return ScriptedModel(word, lambda prompt, sample: f"{word} {prompt.name} {sample}")


def test_a_second_run_asks_nothing_and_says_the_same(tmp_path: Path) -> None:
    first = says("one")
    before = run(first, tmp_path)
    assert sum(first.num_asked) == len(ITEMS)
    second = says("one")
    after = run(second, tmp_path)
    assert second.num_asked == []
    assert after.num_cached == len(ITEMS)
    assert (after.rows, after.answers) == (before.rows, before.answers)


def test_another_model_never_gets_these_answers(tmp_path: Path) -> None:
    run(says("one"), tmp_path)
    other = says("two")
    assert all(answer.answer.startswith("two") for answer in run(other, tmp_path).answers)
    assert sum(other.num_asked) == len(ITEMS)


def test_a_line_moved_into_another_models_file_is_never_served(tmp_path: Path) -> None:
    run(says("one"), tmp_path)
    (first,) = tmp_path.iterdir()
    run(says("two"), tmp_path)
    (second,) = (path for path in tmp_path.iterdir() if path != first)
    second.write_bytes(first.read_bytes())
    assert all(answer.answer.startswith("two") for answer in run(says("two"), tmp_path).answers)


def key(**changes: Any) -> str:
    prompt = Prompt(name="p", messages=(Message(role="user", content="hi"),))
    options: dict[str, Any] = {"model": says("one"), "prompts": [prompt], "decoding": Sampled(), "seed": 0, **changes}
    return batch_key(options["model"], options["prompts"], options["decoding"], options["seed"])


def test_every_field_that_can_move_an_answer_is_in_the_key() -> None:
    prompt = Prompt(name="p", messages=(Message(role="user", content="hi"),))
    changes = (
        {"name": "q"},
        {"messages": (Message(role="system", content="hi"),)},
        {"messages": (Message(role="user", content="hi "),)},
        {"elicitation": "E0"},
        {"completion": "hi"},
        {"opening": "Sure"},
        {"opening_tokens": 1},
        {"begin": "Sure"},
    )
    keys = [
        key(),
        key(model=says("two")),
        key(decoding=Greedy()),
        key(decoding=Sampled(temperature=0.5)),
        key(decoding=Sampled(top_k=3)),
        key(decoding=Sampled(max_tokens=3)),
        key(decoding=Sampled(begin="a")),
        key(decoding=Sampled(banned=("a",))),
        key(seed=1),
        key(prompts=[prompt, prompt]),
        *(key(prompts=[replace(prompt, **change)]) for change in changes),  # type: ignore[arg-type]
    ]
    assert len(set(keys)) == len(keys)
    assert key() == keys[0]
    assert key(decoding=Greedy(), seed=1) == key(decoding=Greedy())  # no noise, no seed


class KilledError(BaseException):
    """The process dies."""


@pytest.mark.parametrize("survived", range(3))
def test_an_interrupted_run_asks_only_what_is_missing(tmp_path: Path, survived: int) -> None:
    whole = run(says("one"), None)
    asked = 0

    def dies(prompt: Prompt, sample: int) -> str:
        nonlocal asked
        asked += 1
        if asked > survived * 16 + 3:
            raise KilledError
        return f"one {prompt.name} {sample}"

    with pytest.raises(KilledError):
        run(ScriptedModel("one", dies), tmp_path)
    again = says("one")
    found = run(again, tmp_path)
    assert sum(again.num_asked) == len(ITEMS) - found.num_cached
    assert found.num_cached == survived * 16  # whole batches only
    assert (found.rows, found.answers) == (whole.rows, whole.answers)


def test_a_tail_torn_at_every_byte_redoes_that_batch_only(tmp_path: Path) -> None:
    whole = run(says("one"), tmp_path)
    (path,) = tmp_path.iterdir()
    data = path.read_bytes()
    start = data[:-1].rindex(b"\n") + 1
    for cut in range(start, len(data) - 1, 11):
        path.write_bytes(data[:cut])
        model = says("one")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UpbringingWarning)
            found = run(model, tmp_path)
            assert len(model.num_asked) == 1
            assert found.answers == whole.answers
            again = says("one")
            run(again, tmp_path)
        assert again.num_asked == []


def test_a_flipped_bit_is_a_miss_and_a_warning(tmp_path: Path) -> None:
    whole = run(says("one"), tmp_path)
    (path,) = tmp_path.iterdir()
    data = bytearray(path.read_bytes())
    data[data.index(b"one harmful")] ^= 1
    path.write_bytes(data)
    model = says("one")
    with pytest.warns(UpbringingWarning, match="torn or altered"):
        found = run(model, tmp_path)
    assert found.answers == whole.answers
    assert len(model.num_asked) == 1


@pytest.mark.parametrize(
    "bad",
    [
        Reply(text="", status="failed", reason_code="endpoint-timeout"),
        Reply(text="", status="malformed"),
        Reply(text="half", status="truncated", finish="length"),
        Reply(text="", status="refused", reason_code="empty"),
    ],
)
def test_errors_empty_and_truncated_replies_are_never_kept(tmp_path: Path, bad: Reply) -> None:
    run(ScriptedModel("one", lambda prompt, sample: bad), tmp_path)
    assert all(not path.read_bytes() for path in tmp_path.iterdir())
    assert all(answer.answer.startswith("one") for answer in run(says("one"), tmp_path).answers)


def test_a_forged_line_with_a_right_hash_but_a_wrong_shape_is_a_miss(tmp_path: Path) -> None:
    run(says("one"), tmp_path)
    (path,) = tmp_path.iterdir()
    content: dict[str, Any] = {"key": "k", "replies": [[{"text": 7}]]}
    path.write_text(json.dumps({**content, "sha256": text_sha256(canonical_json(content))}) + "\n", encoding="utf-8")
    with pytest.warns(UpbringingWarning, match="torn or altered"):
        assert AnswerCache.open(tmp_path, says("one")).get("k") is None


def test_adding_a_measure_reforms_no_batch_of_another(tmp_path: Path) -> None:
    run(says("one"), tmp_path)
    model = says("one")
    found = run(model, tmp_path, battery=(*BATTERY, PrefillAttack(depths=(1,))))
    assert found.num_cached == len(ITEMS)
    assert sum(model.num_asked) == 20
