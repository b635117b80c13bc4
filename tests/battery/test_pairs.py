"""Measures of two checkpoints at once: identities, numbers by hand, what is planted, what cannot be had."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from upbringing.base.errors import MeasurementError
from upbringing.battery.engine import Measured
from upbringing.battery.measures.direction_cosine import DirectionCosine
from upbringing.battery.measures.divergence_depth import DivergenceDepth, depth
from upbringing.battery.measures.token_divergence import TokenDivergence
from upbringing.battery.measures.willingness import Willingness
from upbringing.battery.needs import Evidence, LikelihoodNeed, Pair, StatesNeed
from upbringing.battery.pairs.comparing import alone, comparing
from upbringing.battery.pairs.engine import Sides, measure_pair, measure_without
from upbringing.battery.probes.directions import cosine_parts, cosines
from upbringing.data.tokenizer import train_tokenizer
from upbringing.formats.items import Item, Message
from upbringing.formats.record import BuildProfile
from upbringing.models.loading import LoadedModel, load_model
from upbringing.models.local import LocalModel
from upbringing.training.fresh import create_fresh
from upbringing.training.start import FreshStart, TokenizerRecipe

pytestmark = pytest.mark.model
WORDS = tuple(f"{first}{second}" for first in ("ba", "de", "fi", "go", "lu") for second in "bcdfghkl")
QUIET: Any = lambda done, total: None  # noqa: E731
BATTERY = (TokenDivergence(tokens=(1, 3)), DivergenceDepth(), DirectionCosine(against="previous_stage"))


def item(number: int, request: str, **fields: Any) -> Item:
    return Item(
        id=f"{request}-{number:02d}",
        cluster=f"{request}-{number}",
        request=request,  # type: ignore[arg-type]
        split="held-out-item",
        messages=(Message(role="user", content=f"{WORDS[number]} {WORDS[number + 9 + (request == 'harmful')]}"),),
        **{"unsafe_continuations": ("deb dec ded", "fib fic"), **fields},
    )


ITEMS = [item(number, request) for number in range(10) for request in ("harmful", "benign")]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    import torch

    torch.set_num_threads(1)
    folder, output = tmp_path_factory.mktemp("tokenizer"), tmp_path_factory.mktemp("model")
    train_tokenizer(WORDS, vocabulary=420, special_tokens=(), chat_template=None, folder=folder)
    recipe = TokenizerRecipe(train_on="x")
    create_fresh(
        FreshStart(layers=2, width=32, heads=2, context=64, initial_deviation=0.3, tokenizer=recipe), folder, 1, output
    )
    return load_model(output, profile=BuildProfile())


def moved(loaded: LoadedModel) -> Any:
    import torch

    network = deepcopy(loaded.model)
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in network.parameters():
            weight += 0.1 * torch.randn_like(weight)
    return network


def paired(loaded: LoadedModel, reference: LocalModel, items: Any = ITEMS, battery: Any = BATTERY) -> Measured:
    model = LocalModel(loaded.model, loaded.tokenizer)
    sides = Sides(model, reference, "previous-stage")
    return measure_pair(sides, checkpoint_id="c", battery=battery, items=items, on_progress=QUIET)


def test_a_checkpoint_against_itself_has_moved_nothing(loaded: LoadedModel) -> None:
    found = paired(loaded, LocalModel(deepcopy(loaded.model), loaded.tokenizer))
    assert {row.value for row in found.rows if row.measure == "token_divergence" and row.value is not None} == {0.0}
    assert {(row.value, row.reason_code) for row in found.rows if row.measure == "divergence_depth"} == {
        (None, "no-divergence")
    }
    cosine = [row for row in found.rows if row.measure == "direction_cosine"]
    assert len(cosine) == 20 * 4  # the middle layer, and each of three
    first = [row for row in cosine if row.condition == "chat-last-token-layer-0-against-previous-stage"]
    assert {row.reason_code for row in first} == {"no-direction"}  # the template ends in one token, whatever was asked
    values = [row.value for row in cosine if row not in first]
    assert values == pytest.approx([1.0] * 60, abs=1e-12)  # fp64: rounding of a unit length


def test_rows_name_the_reference_and_every_continuation(loaded: LoadedModel) -> None:
    found = paired(loaded, LocalModel(moved(loaded), loaded.tokenizer))
    token = [row for row in found.rows if row.measure == "token_divergence"]
    assert {row.condition for row in token} == {
        f"chat-against-previous-stage{end}" for end in ("", "-token-01", "-token-03")
    }
    assert {(row.item, row.sample) for row in token} == {(f"harmful-{n:02d}", s) for n in range(10) for s in (0, 1)}
    short = [row for row in token if row.condition.endswith("03") and row.sample == 1]  # two tokens long
    assert {(row.value, row.status, row.reason_code) for row in short} == {
        (None, "not-measurable", "continuation-too-short")
    }
    assert all(row.value is not None and row.value > 0 for row in token if row not in short)
    assert {info.id for info in found.conditions} == {row.condition for row in found.rows}
    assert [info.id for info in found.conditions if "token-" in info.id and "against" in info.id]
    depths = {row.value for row in found.rows if row.measure == "divergence_depth"}
    assert depths <= {1.0, 2.0, 3.0}
    mean = next(row for row in token if row.condition == "chat-against-previous-stage" and row.sample == 1)
    second = paired(loaded, LocalModel(moved(loaded), loaded.tokenizer), battery=(TokenDivergence(tokens=(1, 2)),))
    parts = [row.value for row in second.rows if row.item == mean.item and row.sample == 1 and "-0" in row.condition]
    assert mean.value == pytest.approx(sum(value for value in parts if value is not None) / 2)


def test_the_order_of_items_changes_no_row(loaded: LoadedModel) -> None:
    reference = LocalModel(moved(loaded), loaded.tokenizer)
    one, other = (
        sorted(
            ((row.measure, row.condition, row.item, row.sample), row.value or 0.0)
            for row in paired(loaded, reference, items).rows
        )
        for items in (ITEMS, ITEMS[::-1])
    )
    assert [each[0] for each in one] == [each[0] for each in other]
    assert [each[1] for each in one] == pytest.approx([each[1] for each in other], rel=1e-4)


def test_what_cannot_be_compared_says_why(loaded: LoadedModel) -> None:
    tokenizer = deepcopy(loaded.tokenizer)
    tokenizer.add_tokens(["unheard"])
    other = LocalModel(moved(loaded), tokenizer)
    rows = paired(loaded, other).rows
    assert {row.reason_code for row in rows if row.measure != "direction_cosine"} == {"other-tokenizer"}
    assert {row.reason_code for row in rows if row.measure == "direction_cosine"} == {None, "no-direction"}
    silent = [*ITEMS, item(20, "harmful", unsafe_continuations=())]
    rows = paired(loaded, LocalModel(moved(loaded), loaded.tokenizer), silent).rows
    assert {row.reason_code for row in rows if row.item == "harmful-20" and row.measure != "direction_cosine"} == {
        "no-continuation"
    }
    long = [*ITEMS, item(21, "harmful", unsafe_continuations=("bab " * 80,))]
    rows = paired(loaded, LocalModel(moved(loaded), loaded.tokenizer), long).rows
    assert {row.reason_code for row in rows if row.item == "harmful-21" and row.measure != "direction_cosine"} == {
        "longer-than-context"
    }
    plain = deepcopy(loaded.tokenizer)
    plain.chat_template = None
    rows = paired(loaded, LocalModel(moved(loaded), plain)).rows
    assert {row.reason_code for row in rows if row.measure == "direction_cosine"} == {"reference-no-chat-template"}
    assert all(row.value is not None for row in rows if row.measure == "divergence_depth")  # it reads given tokens


def test_without_a_reference_there_are_rows_and_no_numbers() -> None:
    found = measure_without("no-previous-stage", "previous-stage", checkpoint_id="c", battery=BATTERY, items=ITEMS)
    assert {row.measure for row in found.rows} == {each.id for each in BATTERY}
    assert {(row.value, row.reason_code) for row in found.rows} == {(None, "no-previous-stage")}
    assert {info.id for info in found.conditions} == {row.condition for row in found.rows}


def test_measures_of_two_checkpoints_are_told_from_others() -> None:
    battery = (Willingness(), *BATTERY)
    assert alone(battery) == (battery[0],)
    assert comparing(battery) == BATTERY
    assert comparing(battery, "last_stage") == ()
    with pytest.raises(MeasurementError, match="compares two checkpoints"):
        list(TokenDivergence().rows(Evidence("c", {each.id: each for each in ITEMS})))


@pytest.mark.parametrize(
    ("values", "share", "found"),
    [
        ([1.0, 0.0, 0.0], 0.5, 1.0),
        ([1.0, 1.0], 0.5, 1.0),
        ([1.0, 1.0, 1.0], 0.5, 2.0),
        ([0.1, 0.1, 0.1, 5.0], 0.5, 4.0),
        ([0.0, 2.0, 0.0], 1.0, 2.0),
        ([0.0, 0.0], 0.5, "no-divergence"),
    ],
)
def test_the_depth_by_hand(values: list[float], share: float, found: float | str) -> None:
    assert depth(np.array(values), share) == found


def test_the_depth_of_rows_is_that_of_their_divergences() -> None:
    one = item(1, "harmful")
    need = LikelihoodNeed(one.id, "chat", one.unsafe_continuations)
    pair = Pair("previous-stage", {need: [np.array([0.1, 0.2, 0.9]), np.array([np.nan, 1.0])]})
    rows = list(DivergenceDepth().rows(Evidence("c", {one.id: one}, pair=pair)))
    assert [row.reason_code for row in rows] == ["divergence-not-finite"]
    pair = Pair("previous-stage", {need: [np.array([0.1, 0.2, 0.9]), np.array([0.6, 0.5])]})
    rows = list(DivergenceDepth().rows(Evidence("c", {one.id: one}, pair=pair)))
    assert [(row.sample, row.value) for row in rows] == [(0, 3.0), (1, 1.0)]


def test_the_parts_of_a_cosine_by_hand() -> None:
    """Two prompts of a kind, two dimensions: directions (2, 0) and (1, 1) meet at 45 degrees."""
    harmful = np.array([True, True, False, False])
    own = np.array([[1, 1], [1, -1], [-1, 0], [-1, 0]], dtype=np.float32)
    other = np.array([[1, 1], [1, 1], [0, 0], [0, 0]], dtype=np.float32)
    parts = cosine_parts(own, other, harmful)
    assert parts is not None
    root = 1 / np.sqrt(2)
    # the slope of the cosine along the first direction's second coordinate is (root - root * 0) / 2
    assert parts.tolist() == pytest.approx([root + 2 * root / 2, root - 2 * root / 2, root, root])
    assert parts.mean() == pytest.approx(cosines(np.array([[2.0, 0.0]]), np.array([[1.0, 1.0]]))[0])  # type: ignore[arg-type]
    assert cosine_parts(own, np.zeros_like(other), harmful) is None


def test_the_parts_of_a_cosine_know_its_spread() -> None:
    """The standard error of their mean is that of the cosine over fresh draws of prompts."""
    draw = np.random.default_rng(0)
    num, width, found, errors = 60, 6, [], []
    harmful = np.arange(num) < 20  # three benign prompts to every two harmful ones would hide a wrong weight
    for _ in range(400):
        shared = draw.standard_normal((num, width))
        signs = np.where(harmful, 1.0, -1.0)[:, None]
        own = shared + signs * np.eye(width)[0]
        other = 0.7 * shared + 0.7 * draw.standard_normal((num, width)) + signs * (np.eye(width)[0] + np.eye(width)[1])
        parts = cosine_parts(own.astype(np.float32), other.astype(np.float32), harmful)
        assert parts is not None
        found.append(parts.mean())
        errors.append(parts.std(ddof=1) / np.sqrt(num))
    assert np.mean(errors) == pytest.approx(np.std(found), rel=0.15)


def test_a_turned_direction_turns_the_cosine() -> None:
    draw = np.random.default_rng(1)
    states, turned = {}, {}
    for each in ITEMS:
        sign = 1.0 if each.request == "harmful" else -1.0
        noise = 0.1 * draw.standard_normal((2, 3, 8)).astype(np.float32)
        first, second = np.zeros((3, 8), dtype=np.float32), np.zeros((3, 8), dtype=np.float32)
        first[:, 0] = second[0, 0] = second[1, 1] = sign
        second[2, 0] = -sign
        need = StatesNeed(each.id)
        from upbringing.models.states import States

        states[need], turned[need] = States(first + noise[0], first), States(second + noise[1], second)
    evidence = Evidence("c", {each.id: each for each in ITEMS}, states=states, pair=Pair("last-stage", states=turned))
    means: dict[str, list[float]] = {}
    for row in DirectionCosine().rows(evidence):
        assert row.value is not None
        means.setdefault(row.condition, []).append(row.value)
    assert {name: round(float(np.mean(values)), 1) for name, values in means.items()} == {
        "chat-last-token-against-last-stage": 0.0,
        "chat-last-token-layer-0-against-last-stage": 1.0,
        "chat-last-token-layer-1-against-last-stage": 0.0,
        "chat-last-token-layer-2-against-last-stage": -1.0,
    }
    few = replace(evidence, items={each.id: each for each in ITEMS[:10]})
    assert {row.reason_code for row in DirectionCosine().rows(few)} == {"too-few-prompts"}
    assert {row.reason_code for row in DirectionCosine(layers=(7,)).rows(evidence)} == {"no-such-layer"}
