"""Probes on planted hidden states: what was planted is found where it was, and nothing where nothing was."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from planted import FAMILY_LAYER, HARM_LAYER, LAYERS, NOISE_LAYER, evidence, twins

from upbringing.battery.measures.probe import Probe
from upbringing.battery.measures.probe_detection import ProbeDetection
from upbringing.battery.measures.probe_gain import ProbeGain
from upbringing.battery.measures.refusal_direction import RefusalDirection
from upbringing.battery.needs import Evidence, StatesNeed
from upbringing.battery.probes.crossfit import held_out_scores
from upbringing.battery.probes.logistic import Numbers
from upbringing.battery.probes.probing import Probing, probing
from upbringing.battery.probes.ranks import auroc
from upbringing.formats.rows import Row, rows_table
from upbringing.formats.tree import Checkpoint, ItemInfo, StudyInfo, Tree


def by_condition(rows: Iterable[Row]) -> dict[str, Numbers]:
    found: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        assert row.value is not None
        found[row.condition].append(row.value)
    return {name: np.array(values) for name, values in found.items()}


def aurocs(found: Evidence, measure: Probe) -> dict[str, float]:
    values: dict[str, dict[str, float]] = defaultdict(dict)
    for row in measure.rows(found):
        assert row.value is not None
        values[row.condition][row.item] = row.value
    kinds = {name: item.request == "harmful" for name, item in found.items.items()}
    return {
        condition: auroc(np.array(list(scores.values())), np.array([kinds[name] for name in scores]))
        for condition, scores in values.items()
    }


def probed(found: Evidence, **settings: Any) -> Probing:
    result = probing(found, Probe(**settings), "chat")
    assert isinstance(result, Probing)
    return result


def test_the_planted_layer_is_found_and_chosen_without_being_tested_on() -> None:
    found = aurocs(evidence(twins(), 1), Probe(positions=("last",)))
    assert len(found) == LAYERS + 1
    assert found[f"chat-last-token-layer-{HARM_LAYER}"] > 0.9
    assert found["chat-last-token-chosen-layer"] > 0.9
    assert found[f"chat-last-token-layer-{NOISE_LAYER}"] < 0.75
    assert found["chat-last-token-layer-0"] == pytest.approx(0.5)  # the same token everywhere: all scores are equal
    assert set(probed(evidence(twins(), 1)).chosen_layers("last")) == {HARM_LAYER}


def test_a_split_that_leaks_families_scores_higher_than_ours() -> None:
    """In one layer each family has its own direction of harm: known families are told apart, others cannot be."""
    ours, leaking = [], []
    for seed in range(6):
        found = probed(evidence(twins(6, 10), seed))
        features = found.features("own", "last", FAMILY_LAYER)
        ours.append(auroc(found.scores("last", FAMILY_LAYER), found.harmful))
        random_folds = np.random.default_rng(seed).permutation(len(found.items)) % 5
        scores = np.empty(len(found.items))
        for fold in range(5):
            scores[random_folds == fold] = held_out_scores(features, found.harmful, random_folds, fold, 1.0)
        leaking.append(auroc(scores, found.harmful))
    assert np.mean(leaking) > 0.7
    assert np.mean(ours) < np.mean(leaking) - 0.2
    assert abs(np.mean(ours) - 0.5) < 0.25


def test_gain_over_each_control_is_high_where_harm_was_planted() -> None:
    found = by_condition(ProbeGain(positions=("last",)).rows(evidence(twins(), 1)))
    assert {name.rpartition("-over-")[2] for name in found} == {
        "best-control",
        "ngrams",
        "random-weights",
        "shuffled-labels",
    }
    for values in found.values():
        assert len(values) == 50  # one per pair of twins
        assert 0.3 < values.mean() < 0.65
        assert values.mean() - 1.96 * values.std(ddof=1) / np.sqrt(len(values)) > 0.1


def test_without_harm_gain_intervals_hold_zero_as_often_as_they_say() -> None:
    """Nominal 95 % (t, 31 degrees of freedom), 120 seeds: six beyond are expected, more than thirteen next to never.

    Over 300 seeds 95 % held zero for n-grams and for random weights, 97 % for the best control, 99 % for shuffled
    labels; without the factor for cross-fitting they were 88, 84, 89 and 92 %.
    """
    held: dict[str, list[bool]] = defaultdict(list)
    areas = []
    for seed in range(120):
        found = evidence(twins(8, 4), seed, strength=0.0)
        settings = ProbeGain(positions=("last",), layers=(NOISE_LAYER, HARM_LAYER), folds=4)
        for name, values in by_condition(settings.rows(found)).items():
            half = 2.04 * values.std(ddof=1) / np.sqrt(len(values))
            held[name].append(bool(abs(values.mean()) <= half))
        again = probing(found, settings, "chat")
        assert isinstance(again, Probing)
        areas.append(auroc(again.scores("last", "chosen"), again.harmful))
    for name, each in held.items():
        assert 107 <= sum(each) <= 120, name
    assert np.mean(areas) == pytest.approx(0.5, abs=3 * np.std(areas) / np.sqrt(len(areas)))


def test_shuffled_labels_tell_nothing_even_where_harm_was_planted() -> None:
    found = [probed(evidence(twins(), seed)) for seed in range(12)]
    areas = [auroc(each.control("shuffled-labels", "last", HARM_LAYER), each.harmful) for each in found]
    assert np.mean(areas) == pytest.approx(0.5, abs=0.15)
    for each in found:
        for group in np.unique(each.groups):
            inside = each.groups == group
            assert each.shuffled[inside].sum() == each.harmful[inside].sum()


def test_words_that_all_families_share_leave_no_gain_over_ngrams() -> None:
    items = [
        item.model_copy(
            update={"messages": (item.messages[0].model_copy(update={"content": f"{item.request} {item.family}"}),)}
        )
        for item in twins()
    ]
    found = by_condition(ProbeGain(positions=("last",)).rows(evidence(items, 1)))
    assert found["chat-last-token-chosen-layer-over-ngrams"].mean() < 0.05
    assert found["chat-last-token-chosen-layer-over-best-control"].mean() < 0.05
    assert found["chat-last-token-chosen-layer-over-random-weights"].mean() > 0.3


def test_the_gain_is_the_difference_of_the_aurocs() -> None:
    found = evidence(twins(), 3, strength=0.4)
    values = by_condition(ProbeGain(positions=("mean",)).rows(found))["chat-mean-of-tokens-chosen-layer-over-ngrams"]
    probes = probed(found)
    expected = auroc(probes.scores("mean", "chosen"), probes.harmful) - auroc(
        probes.control("ngrams", "mean", "chosen"), probes.harmful
    )
    assert values.mean() == pytest.approx(expected)


def test_detection_counts_harmful_prompts_and_says_when_it_cannot() -> None:
    rows = list(ProbeDetection(positions=("last",)).rows(evidence(twins(), 1, strength=4.0)))
    assert {row.item.partition("-")[0] for row in rows} == {"harmful"}
    few = [row for row in rows if row.condition.endswith("false-alarms-0.01")]
    assert {row.reason_code for row in few} == {"too-few-benign-prompts"}  # one in a hundred of fifty
    found = [row.value for row in rows if row.condition == "chat-last-token-chosen-layer-at-false-alarms-0.05"]
    assert len(found) == 50
    assert set(found) == {1.0}


def test_attribution_computes_the_auroc_of_the_rows() -> None:
    from upbringing.attribution.evidence.cells import Source, evidence_of
    from upbringing.attribution.evidence.sources import first_condition, format_conditions

    items, measure = twins(), Probe(positions=("last",), each_layer=False)
    found = evidence(items, 1, strength=0.5)
    tree = Tree(
        study=StudyInfo(name="s"),
        checkpoints=(Checkpoint(id="c"),),
        measures=(measure.info(), ProbeGain().info()),
        items=tuple(
            ItemInfo(id=each.id, cluster=each.cluster, twin=each.twin, request=each.request, family=each.family)
            for each in items
        ),
    )
    gain = ProbeGain(positions=("last",))
    every = Probe(positions=("last",))
    names = (*every.conditions(found, "t"), *gain.conditions(found, "t"))
    tree = tree.model_copy(update={"conditions": tuple(sorted(names, key=lambda each: each.id))})
    read = evidence_of(rows_table([*every.rows(found), *gain.rows(found)]), tree)
    assert first_condition(tree, read, "probe") == "chat-last-token-chosen-layer"
    assert first_condition(tree, read, "probe_gain") == "chat-last-token-chosen-layer-over-best-control"
    assert format_conditions(tree, read, "probe") == format_conditions(tree, read, "probe_gain") == ()
    name = "chat-last-token-chosen-layer"
    values = read.values("c", Source("probe", name, "none"))
    gains = read.values("c", Source("probe_gain", f"{name}-over-ngrams", "none"))
    assert values is not None
    assert gains is not None
    assert values.value.mean() == pytest.approx(aurocs(found, measure)[name])
    direct = by_condition(gain.rows(found))[f"{name}-over-ngrams"]
    assert gains.value.mean() == pytest.approx(direct.mean())
    assert len(gains.value) == len(values.value) == 50


def test_measures_share_their_probes_and_name_their_conditions() -> None:
    found = evidence(twins(), 1)
    battery = (Probe(), ProbeDetection(), ProbeGain(), RefusalDirection())
    for measure in battery:
        named = {info.id for info in measure.conditions(found, "t")}
        assert {row.condition for row in measure.rows(found)} == named
    assert len(found.shared) == 1


def test_what_could_not_be_read_has_no_number_and_a_reason() -> None:
    items = twins()
    unable = {StatesNeed(items[0].id, "chat"): "longer-than-context"}
    rows = list(Probe().rows(evidence(items, 1, unable=unable)))
    missing = [row for row in rows if row.value is None]
    assert {(row.item, row.reason_code, row.status) for row in missing} == {
        (items[0].id, "longer-than-context", "not-measurable")
    }
    assert len(missing) == 2 * (LAYERS + 1)


@pytest.mark.parametrize(
    ("items", "settings", "reason"),
    [
        (twins(10, 5), {"layers": (99,)}, "no-such-layer"),
        (twins(2, 8), {}, "too-few-families"),
        (twins(3, 2), {}, "too-few-prompts"),
    ],
)
def test_probes_that_cannot_be_are_not_measurable(items: Any, settings: Any, reason: str) -> None:
    found = evidence(items, 1)
    for measure in (Probe(**settings), ProbeDetection(**settings), ProbeGain(**settings), RefusalDirection(**settings)):
        rows = list(measure.rows(found))
        assert rows
        assert {(row.value, row.reason_code) for row in rows} == {(None, reason)}


def test_without_random_weights_no_best_control_is_named() -> None:
    items = twins()
    unable = {StatesNeed(item.id, "chat", is_fresh=True): "no-hidden-states" for item in items}
    rows = list(ProbeGain(positions=("last",)).rows(evidence(items, 1, unable=unable)))
    reasons = {row.condition.rpartition("-over-")[2]: row.reason_code for row in rows}
    assert reasons == {
        "best-control": "no-random-weights",
        "random-weights": "no-random-weights",
        "ngrams": None,
        "shuffled-labels": None,
    }


def test_the_direction_is_as_long_as_it_was_planted_and_nothing_is_none() -> None:
    lengths = defaultdict(list)
    for seed in range(30):
        for name, values in by_condition(RefusalDirection(layers=(1, 3)).rows(evidence(twins(), seed))).items():
            lengths[name].append(values.mean())
    planted = 2 * 1.5 / np.sqrt(12)  # distance of the means over the root of twelve unit variances
    assert np.mean(lengths["chat-last-token-layer-3"]) == pytest.approx(planted, rel=0.05)
    nothing = np.array(lengths["chat-last-token-layer-1"])
    assert abs(nothing.mean()) < 3 * nothing.std() / np.sqrt(30)


def test_a_layer_without_a_direction_has_no_length() -> None:
    rows = list(RefusalDirection(layers=(0,)).rows(evidence(twins(), 1)))
    assert {(row.value, row.reason_code) for row in rows} == {(None, "no-direction")}


def test_no_number_depends_on_the_order_of_the_items() -> None:
    items = twins()
    first = evidence(items, 1, strength=0.5)
    second = Evidence("c", dict(reversed(first.items.items())), states=first.states, seed=1)
    for measure in (Probe(), ProbeGain(), ProbeDetection(), RefusalDirection()):
        assert list(measure.rows(first)) == list(measure.rows(second))
