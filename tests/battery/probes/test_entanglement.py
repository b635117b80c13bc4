"""Entanglement of the direction of harm: by hand, unmoved by turns and sizes, its spread, its floor, its failures."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from planted import LAYERS, WIDTH, evidence, twins

from upbringing.attribution.evidence.cells import evidence_of
from upbringing.attribution.evidence.sources import first_condition, format_conditions
from upbringing.battery.measures.direction_entanglement import DirectionEntanglement
from upbringing.battery.needs import Evidence, StatesNeed
from upbringing.battery.probes.entanglement import entanglement_parts, family_contrasts, shuffled_parts
from upbringing.battery.probes.logistic import Flags, Numbers
from upbringing.formats.items import Item
from upbringing.formats.rows import rows_table
from upbringing.formats.tree import Checkpoint, StudyInfo, Tree


def made(
    lean: float, *, noise: float = 0.0, families: int = 3, each: int = 4, seed: int = 0
) -> tuple[Numbers, Flags, list[str]]:
    """Return states of families along axes 1, 2 .., of which the first leans towards harm, which is axis 0."""
    random = np.random.default_rng(seed)
    states, harmful, names = [], [], []
    for family in range(families):
        own = np.eye(WIDTH)[family + 1]
        own = np.sqrt(1 - lean**2) * own + lean * np.eye(WIDTH)[0] if family == 0 else own
        for kind in (True, False):
            for _ in range(each):
                harm = (0.5 if kind else -0.5) * np.eye(WIDTH)[0]
                states.append(own + harm + noise * random.standard_normal(WIDTH))
                harmful.append(kind)
                names.append(f"family-{family}")
    return np.array(states), np.array(harmful), names


def number(states: Numbers, harmful: Flags, names: list[str]) -> float:
    parts = entanglement_parts(states.astype(np.float32), harmful, family_contrasts(names, harmful))
    assert parts is not None
    return float(parts.mean())


@pytest.mark.parametrize("lean", [0.0, 0.6, -0.6])
def test_the_cosine_by_hand(lean: float) -> None:
    """The first family less the mean of the two others is (lean, sqrt(1 - lean^2), -1/2, -1/2); harm is axis 0. The
    second's is (-lean/2, -sqrt(1 - lean^2)/2, 1, -1/2), of the same length squared 1.5.
    """
    assert number(*made(lean)) == pytest.approx(abs(lean) / np.sqrt(1.5), abs=1e-6)


def test_neither_turns_nor_sizes_nor_a_shift_move_it() -> None:
    states, harmful, names = made(0.6, noise=0.3)
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((WIDTH, WIDTH)))[0]
    assert number(7.0 * states @ turn + 3.0, harmful, names) == pytest.approx(number(states, harmful, names), abs=1e-5)


def test_families_are_compared_within_kinds() -> None:
    """One with more harmful prompts than others is not a direction of harm; what has too few prompts is none."""
    harmful = np.array([True] * 12 + [False] * 4 + [True] * 4 + [False] * 12 + [True] * 3)
    names = ["more"] * 16 + ["fewer"] * 16 + ["few"] * 3
    found = family_contrasts(names, harmful)
    assert found.names == ("fewer", "more")
    assert found.weights @ harmful == pytest.approx(0.0)
    assert found.weights.sum(axis=1) == pytest.approx(0.0)
    inside = np.array([name == "more" for name in names])
    assert found.weights[1] @ inside == pytest.approx(1.0)


def test_parts_tell_the_spread_of_the_number() -> None:
    """Of 400 resamples of the prompts of each kind, the spread of the number is what the parts say, within a tenth."""
    states, harmful, names = made(0.6, noise=0.4, each=40)
    parts = entanglement_parts(states.astype(np.float32), harmful, family_contrasts(names, harmful))
    assert parts is not None
    random, found = np.random.default_rng(5), []
    kinds = [np.flatnonzero(harmful == kind) for kind in (True, False)]
    for _ in range(400):
        drawn = np.concatenate([random.choice(places, len(places)) for places in kinds])
        found.append(number(states[drawn], harmful[drawn], [names[place] for place in drawn]))
    assert parts.std(ddof=1) / np.sqrt(len(parts)) == pytest.approx(np.std(found), rel=0.1)


def test_shuffled_labels_are_the_floor() -> None:
    states, harmful, names = made(0.9, noise=0.5, each=20)
    others = family_contrasts(names, harmful)
    floor = shuffled_parts(states.astype(np.float32), harmful, names, others, seed=3)
    assert floor is not None
    assert number(states, harmful, names) > floor.mean() + 0.2  # of twelve dimensions and three families .47
    assert 0.3 < floor.mean() < 0.6
    single = ["benign" if not kind else names[place] for place, kind in enumerate(harmful)]  # families of one kind
    of_one_kind = shuffled_parts(states.astype(np.float32), harmful, single, family_contrasts(single, harmful), seed=3)
    assert of_one_kind is not None


def measured(found: Evidence, measure: DirectionEntanglement) -> dict[str, list[float | None]]:
    values: dict[str, list[float | None]] = defaultdict(list)
    for row in measure.rows(found):
        values[row.condition].append(row.value)
        assert (row.value is None) == (row.reason_code is not None)
    return values


def test_a_layer_has_its_control_beside_it_and_the_middle_stands_first() -> None:
    found, measure = evidence(twins(6, 8), 1), DirectionEntanglement()
    values = measured(found, measure)
    names = [info.id for info in measure.conditions(found, "t")]
    assert names == list(values)
    assert names[:2] == ["chat-last-token", "chat-last-token-shuffled-labels-control"]
    assert len(names) == 2 * (LAYERS + 1)
    assert set(values["chat-last-token-layer-0"]) == {None}  # the same state everywhere is no direction
    means = {name: np.mean(each) for name, each in values.items() if None not in each}  # type: ignore[arg-type]
    assert means["chat-last-token"] == means[f"chat-last-token-layer-{(LAYERS - 1) // 2}"]
    assert all(0 <= mean <= 1 for mean in means.values())
    tree = Tree(
        study=StudyInfo(name="s"),
        checkpoints=(Checkpoint(id="c"),),
        measures=(measure.info(),),
        conditions=tuple(measure.conditions(found, "t")),
    )
    read = evidence_of(rows_table(measure.rows(found)), tree)
    assert first_condition(tree, read, measure.id) == "chat-last-token"
    assert format_conditions(tree, read, measure.id) == ()


def test_what_cannot_be_had_is_a_row_with_a_reason() -> None:
    measure = DirectionEntanglement()

    def reasons(found: Evidence, measure: DirectionEntanglement = measure) -> set[str | None]:
        rows = list(measure.rows(found))
        assert len(rows) == len(found.items)
        assert {row.value for row in rows} == {None}
        return {row.reason_code for row in rows}

    assert reasons(evidence(twins(2, 3), 1)) == {"too-few-prompts"}
    assert reasons(evidence(twins(1, 10), 1)) == {"too-few-families"}
    assert reasons(evidence(twins(9, 3), 1)) == {"too-few-families"}  # three prompts of a kind are too few of each
    assert reasons(evidence(twins(3, 8), 1), DirectionEntanglement(layers=(99,))) == {"no-such-layer"}
    items = twins(3, 8)
    unread = {StatesNeed(item.id, "chat"): "longer-than-context" for item in items}
    assert reasons(evidence(items, 1, unable=unread)) == {"longer-than-context"}
    one = {StatesNeed(items[0].id, "chat"): "longer-than-context"}
    values = measured(evidence(items, 1, unable=one), DirectionEntanglement(layers=(3,)))
    assert [each.count(None) for each in values.values()] == [1, 1]


def test_without_both_kinds_nothing_is_read() -> None:
    harmful: list[Item] = [item for item in twins() if item.request == "harmful"]
    assert DirectionEntanglement().needs(harmful) == []
    assert list(DirectionEntanglement().rows(evidence(harmful, 1))) == []
