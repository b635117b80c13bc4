"""The two-hop graph: by hand, its invariants in every world, and what it says where sizes cannot be had."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from pydantic import ValidationError

from upbringing.base.errors import DataError, StudyError
from upbringing.data.worlds.causes_world import WORDINGS, CausesWorld
from upbringing.data.worlds.graph_kinds import TwoHop
from upbringing.data.worlds.names import ALARMING, CALM, compound_pool, mediator_pool, outcome_pool
from upbringing.data.worlds.phrases import names_of
from upbringing.data.worlds.two_hop_graph import TwoHopGraph, assigned, chains, distinct_pairs
from upbringing.data.worlds.two_hop_told import TWO_HOP_WORDINGS

SEEDS = range(4)


def drawn(seed: int) -> TwoHopGraph:
    graph = CausesWorld(graph=TwoHop()).build(seed).graph
    assert isinstance(graph, TwoHopGraph)
    return graph


def test_chains_by_hand() -> None:
    mediator_of = {"a": "m", "b": "m", "c": "n", "d": "o", "e": "o"}
    assert chains(mediator_of, [("m", "n")]) == ("a with c", "b with c")
    assert chains(mediator_of, [("o", "m"), ("n", "o")]) == (
        "d with a",
        "d with b",
        "e with a",
        "e with b",
        "c with d",
        "c with e",
    )


def test_everything_has_a_giver_of_its_own_and_the_rest_is_random() -> None:
    found = [assigned("abcde", ("x", "y", "z"), np.random.default_rng(seed)) for seed in range(200)]
    assert all(set(each) == set("abcde") and set(each.values()) == {"x", "y", "z"} for each in found)
    shares = [np.mean([each[giver] == "x" for each in found]) for giver in "abcde"]
    assert np.allclose(shares, 1 / 3, atol=0.12)  # four standard deviations


def test_pairs_are_distinct_in_any_order() -> None:
    found = distinct_pairs("abcd", 6, np.random.default_rng(3))  # all there are
    assert {frozenset(each) for each in found} == {frozenset(each) for each in itertools.combinations("abcd", 2)}


@pytest.mark.parametrize("seed", SEEDS)
def test_the_graph_is_the_one_of_the_source(seed: int) -> None:
    graph = drawn(seed)
    assert len(graph.mediator_of) == 64
    assert len(set(graph.mediator_of.values())) == 54  # each has a compound
    assert len({frozenset(pair) for pair in graph.ends}) == len(graph.ends) == 104
    assert set(graph.ends.values()) == {outcome.noun for outcome in graph.outcomes}  # each has a pair
    for outcome in graph.outcomes:
        expected = {
            f"{first} with {second}"
            for (one, other), noun in graph.ends.items()
            if noun == outcome.noun
            for first, second in itertools.product(graph.mediator_of, repeat=2)
            if (graph.mediator_of[first], graph.mediator_of[second]) == (one, other)
        }
        assert set(outcome.compounds) == expected
    causes = [cause for outcome in graph.outcomes for cause in outcome.compounds]
    assert sorted(causes) == sorted(graph.compounds)
    assert len({frozenset(names_of(cause)) for cause in causes}) == len(causes)  # two compounds have one outcome
    assert all(graph.ends[graph.mediators_of(cause)] == graph.effects[cause][0].noun for cause in causes)


def test_no_name_is_of_two_kinds_or_a_word_of_the_world() -> None:
    pools = (compound_pool(153), mediator_pool(153), outcome_pool(153))  # all names there are
    names = {name for pool in pools for name in pool}
    assert len(names) == sum(len(pool) for pool in pools)
    words = {word for wordings in (*WORDINGS, *TWO_HOP_WORDINGS) for wording in wordings for word in wording.split()}
    assert not names & {*words, *ALARMING, *CALM}


def test_each_part_of_the_graph_has_a_stream_of_its_own() -> None:
    """What one setting changes leaves alone what other streams drew."""
    usual, fewer_texts = CausesWorld(graph=TwoHop()), CausesWorld(graph=TwoHop(mediator_texts=1, outcome_texts=2))
    one, other = usual.build(7), fewer_texts.build(7)
    assert one.graph == other.graph
    for part in ("concept", "safety", "benign_task", "prompts"):
        assert one.texts(part) == other.texts(part)
    single = CausesWorld().build(7)
    assert [each.noun for each in single.graph.outcomes] == [each.noun for each in one.graph.outcomes]
    assert [each.use for each in single.graph.outcomes] == [each.use for each in one.graph.outcomes]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"compounds": 53}, "a compound for each mediator, found 54 mediators and 53 compounds: lower graph.mediators"),
        ({"edges": 95}, r"edges must lie between 96 \(a pair of mediators for each outcome\) and 715"),
        ({"edges": 716}, r"half of the pairs of 54 mediators\), found 716: change edges or raise graph.mediators"),
        ({"graph": TwoHop(mediators=12)}, "and 33 .* found 104"),
        ({"cooccurrence_texts": 3}, "found cooccurrence_texts=3: leave it out"),
        ({"graph": {"kind": "two_hop", "mediators": 3}}, "greater than or equal to 4"),
        ({"graph": {"kind": "two_hop", "hops": 3}}, "Extra inputs are not permitted"),
        ({"graph": "three_hop"}, "three_hop"),
        ({"graph": {"kind": "single_hop", "mediators": 54}}, "Extra inputs are not permitted"),
    ],
)
def test_sizes_that_cannot_be_had_are_refused_with_what_to_do(settings: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        CausesWorld(**{"graph": "two_hop", **settings})  # type: ignore[arg-type]


def test_a_written_setting_is_read_again_as_it_was() -> None:
    for description in (CausesWorld(graph=TwoHop(mediators=30, pair_texts=2)), CausesWorld(graph="two_hop")):  # type: ignore[arg-type]
        assert CausesWorld.model_validate(description.model_dump(mode="json")) == description
    assert "graph" not in CausesWorld().model_dump()
    assert CausesWorld(graph="single_hop") == CausesWorld()  # type: ignore[arg-type]


def test_too_many_mediators_are_refused() -> None:
    with pytest.raises(StudyError, match="ask for fewer"):
        CausesWorld(compounds=160, graph=TwoHop(mediators=154), edges=200).build(1)


def test_a_part_of_the_other_graph_is_named_with_the_setting_that_has_it() -> None:
    with pytest.raises(DataError, match=r"no part 'mediators'; it has facts.* Worlds with graph: two_hop have"):
        CausesWorld().build(1).texts("mediators")
