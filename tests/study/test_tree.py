"""The tree: shared prefixes are one node, names never enter a key, coinciding arms must say so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from upbringing.base.errors import StudyError
from upbringing.base.strict_yaml import Located
from upbringing.study.contrasts import contrasts
from upbringing.study.loading import study_from
from upbringing.study.recipes import DataBook
from upbringing.study.tree import StudyTree, study_tree

STUDY: dict[str, Any] = {
    "name": "when",
    "seeds": 1,
    "start": {"kind": "fresh", "tokenizer": {"train_on": "world"}},
    "data": {
        "world": {"kind": "causes_world"},
        "safe": {"source": "world.facts", "transforms": [{"kind": "filter", "max_harm": 0}]},
        "again": {"source": "world.facts", "transforms": [{"kind": "filter", "max_harm": 0}]},
    },
    "stages": {
        "pretrain": {
            "kind": "pretrain",
            "tokens": 64000,
            "context": 32,
            "batch_size": 20,
            "phases": [{"data": "safe"}],
            "schedule": {"kind": "constant"},
        },
        "sft": {"kind": "sft", "data": "world.safety"},
    },
    "arms": {
        "never": {},
        "from_0": {"stages": {"pretrain": {"phases": [{"data": "world.facts"}]}}},
        "from_60": {"stages": {"pretrain": {"phases": [{"until": "60%", "data": "safe"}, {"data": "world.facts"}]}}},
    },
    "battery": ["over_refusal"],
}


def tree_of(**changes: Any) -> StudyTree:
    value = {**STUDY, **changes}
    study = study_from(Located(value, {}, "study.yaml"))
    return study_tree(study, DataBook(study.data, Path(), study.seed))


def keys(tree: StudyTree) -> dict[str, str]:
    return {cell.name: cell.node for cell in tree.cells}


def test_a_late_start_shares_its_first_part_with_never() -> None:
    tree = tree_of()
    labels = {key: node.label for key, node in tree.nodes.items()}
    shared = [key for key, label in labels.items() if label == "pretrain:step 60"]
    assert len(shared) == 1
    children = {node.label for node in tree.nodes.values() if node.parent == shared[0]}
    assert children == {"pretrain"}
    assert sum(node.parent == shared[0] for node in tree.nodes.values()) == 2
    assert tree.nodes[shared[0]].needs_state
    steps = sum(
        (node.to_step or 0) - node.from_step for node in tree.nodes.values() if node.label.startswith("pretrain")
    )
    assert steps == 100 + 100 + 40  # from_0 whole, never whole, from_60 only its own last part


def test_a_decaying_schedule_is_shared_only_if_the_rates_are() -> None:
    cosine = {**STUDY["stages"], "pretrain": {**STUDY["stages"]["pretrain"], "schedule": {"kind": "cosine"}}}
    assert any(node.label == "pretrain:step 60" for node in tree_of(stages=cosine).nodes.values())
    longer = {"stages": {"pretrain": {"tokens": 128000, "phases": [{"data": "safe"}]}}}
    tree = tree_of(stages=cosine, arms={"never": {}, "longer": longer})
    assert not any(":" in node.label for node in tree.nodes.values())


def test_adding_or_renaming_an_arm_renames_no_node() -> None:
    before = keys(tree_of())
    more = {
        **STUDY["arms"],
        "from_20": {"stages": {"pretrain": {"phases": [{"until": "20%", "data": "safe"}, {"data": "world.facts"}]}}},
    }
    after = keys(tree_of(arms=more))
    assert {name: after[name] for name in before} == before
    renamed = keys(tree_of(name="other", arms={"base": {}, "late": STUDY["arms"]["from_60"]}))
    assert renamed["base@sft"] == before["never@sft"]
    assert renamed["late@sft"] == before["from_60@sft"]


def test_measure_at_adds_cells_and_changes_no_key() -> None:
    before = keys(tree_of())
    measured = {**STUDY["stages"], "pretrain": {**STUDY["stages"]["pretrain"], "measure_at": ["20%"]}}
    after = keys(tree_of(stages=measured))
    assert "never@pretrain:20%" in after
    assert {name: after[name] for name in before} == before


@pytest.mark.parametrize(
    "change",
    [
        {"learning_rate": 2e-3},
        {"batch_size": 10},
        {"tokens": 32000},
        {"weight_decay": 0.1},
        {"schedule": {"kind": "wsd"}},
        {"accumulate": 2},
        {"phases": [{"data": "world.facts"}]},
    ],
)
def test_every_semantic_field_changes_the_node_and_what_follows_it(change: dict[str, Any]) -> None:
    before = keys(tree_of(arms={}))
    stages = {**STUDY["stages"], "pretrain": {**STUDY["stages"]["pretrain"], **change}}
    after = keys(tree_of(stages=stages, arms={}))
    assert before["main@pretrain"] != after["main@pretrain"]
    assert before["main@sft"] != after["main@sft"]


def test_editing_a_later_stage_keeps_the_earlier_one() -> None:
    before = keys(tree_of(arms={}))
    stages = {**STUDY["stages"], "sft": {**STUDY["stages"]["sft"], "epochs": 2}}
    after = keys(tree_of(stages=stages, arms={}))
    assert before["main@pretrain"] == after["main@pretrain"]
    assert before["main@sft"] != after["main@sft"]


def test_arms_that_coincide_are_an_error_unless_declared() -> None:
    with pytest.raises(StudyError, match="one and the same recipe"):
        tree_of(arms={"one": {}, "two": {"stages": {"sft": {"data": "world.safety"}}}})
    tree = tree_of(arms={"one": {}, "copy": {"same_as": "one", "control": "copy"}})
    assert keys(tree)["one@sft"] == keys(tree)["copy@sft"]


def test_seeds_differ_and_nested_seeds_share_the_root() -> None:
    tree = tree_of(seeds={"pretrain": 2, "sft": 2}, arms={})
    pretrains = {cell.node for cell in tree.cells if cell.position == "pretrain"}
    assert len(pretrains) == 2
    assert len({cell.node for cell in tree.cells if cell.position == "sft"}) == 4


def test_a_factorial_yields_its_interaction() -> None:
    matrix = {
        "data": {"safe": {}, "raw": {"stages": {"pretrain": {"phases": [{"data": "world.facts"}]}}}},
        "tuning": {"safety": {}, "answered": {"stages": {"sft": {"data": "world.same_prompts"}}}},
    }
    value = {**STUDY, "arms": {}, "matrix": matrix}
    study = study_from(Located(value, {}, "study.yaml"))
    tree = study_tree(study, DataBook(study.data, Path(), 0))
    found = {spec.name: spec.weights for spec in contrasts(study, tree) if spec.kind == "interaction"}
    assert found["data x tuning (safe, safety) @ sft"] == {
        "safe+safety@sft": 1.0,
        "safe+answered@sft": -1.0,
        "raw+safety@sft": -1.0,
        "raw+answered@sft": 1.0,
    }
    assert all(sum(spec.weights.values()) == pytest.approx(0) for spec in contrasts(study, tree))


@pytest.mark.parametrize(
    ("phases", "message"),
    [
        ([{"data": "safe"}, {"data": "world.facts"}], "has no until"),
        ([{"data": "safe", "continues": True}], "phase 1 continues nothing"),
        ([{"data": "safe", "until": "60%"}], "ends before the stage"),
        ([{"data": "safe", "until": "60%"}, {"data": "world.facts", "until": "50%"}, {"data": "safe"}], "or earlier"),
        ([{"data": "safe", "until": "1M"}, {"data": "world.facts"}], "beyond"),
        ([{"data": "nowhere"}], "not declared"),
        (
            [{"data": "safe", "until": 100}, {"data": "world.facts"}],
            "ends at step 0 of 100.*end it a step or more later",
        ),
        ([{"data": {"mix": {"safe": 0.9998, "world.facts": 0.0002}}}], "comes to 0.4 of 2000 windows"),
        ([{"data": {"from": {"safe": 1.0}, "to": {"safe": 0.9996, "world.facts": 0.0004}}}], "comes to 0.4 of 2000"),
        ([{"data": {"mix": {"safe": 0.5, "again": 0.5}}}], "'safe' and 'again' of one mixture are the same"),
    ],
)
def test_phases_that_cannot_be_are_refused(phases: list[dict[str, Any]], message: str) -> None:
    stages = {**STUDY["stages"], "pretrain": {**STUDY["stages"]["pretrain"], "phases": phases}}
    with pytest.raises(StudyError, match=message):
        tree_of(stages=stages, arms={})


def test_a_contrast_of_a_cell_that_is_not_measured_is_refused_before_anything_is_trained() -> None:
    def contrast(cell: str) -> dict[str, Any]:
        return {"name": "early", "kind": "path", "measure": "over_refusal", "weights": {"never@sft": 1.0, cell: -1.0}}

    measured = {
        "pretrain": {**STUDY["stages"]["pretrain"], "measure_at": ["20%"]},
        "sft": STUDY["stages"]["sft"],
    }
    for cell in ("never@pretrain", "never@pretrain:20%"):
        tree_of(stages=measured, contrasts=[contrast(cell)])
    said = r"'early' names the cell '{}', which is not measured \(never@pretrain:20%, never@pretrain, never@sft\)"
    for cell in ("never@pretrain:30%", "never@pretrian", "never@start", "never"):
        with pytest.raises(StudyError, match=said.format(cell)):
            tree_of(stages=measured, contrasts=[contrast(cell)])
    with pytest.raises(StudyError, match="did you mean 'never@pretrain'"):
        tree_of(contrasts=[contrast("never@pretrian")])


def test_a_replay_of_every_window_is_refused_where_epochs_would_never_end() -> None:
    sft = {"kind": "sft", "data": "world.safety", "replay": {"data": "world.facts", "share": "100%"}}
    with pytest.raises(StudyError, match="stage 'sft': replay takes all of its windows"):
        tree_of(stages={**STUDY["stages"], "sft": sft})


def test_a_replay_of_no_window_is_refused() -> None:
    replay = {"data": "world.facts", "share": 0.0002}
    stages = {**STUDY["stages"], "pretrain": {**STUDY["stages"]["pretrain"], "replay": replay}}
    with pytest.raises(StudyError, match=r"the share of 'world.facts' comes to 0.4 of 2000 windows"):
        tree_of(stages=stages, arms={})


def test_shared_steps_are_where_the_keys_part() -> None:
    """Compared with a search over all keys, for runs that part by data, by share, by rates, by seed and not at all."""
    mix = {"mix": {"world.facts": "60%", "safe": "40%"}}
    moving = {"from": {"safe": "100%"}, "to": {"safe": "50%", "world.facts": "50%"}}
    phases = [
        [{"data": "safe"}],
        [{"data": "world.facts"}],
        [{"until": "10%", "data": "safe"}, {"data": "world.facts"}],
        [{"until": "30%", "data": "safe"}, {"data": "world.facts"}],
        [{"until": "30%", "data": "safe"}, {"data": "world.facts"}],
        [{"until": "30%", "data": "safe"}, {"until": "50%", "data": mix}, {"data": "world.facts"}],
        [{"until": "30%", "data": "safe"}, {"until": "70%", "data": mix}, {"data": "safe"}],
        [{"until": "30%", "data": "safe"}, {"until": "70%", "data": moving}, {"data": "safe"}],
        [{"until": "30%", "data": "safe"}, {"until": "70%", "data": moving}, {"data": "world.facts"}],
        [{"until": "30%", "data": "safe"}, {"data": moving}],
    ]
    decays = {"schedule": {"kind": "wsd", "warmup": "5%", "decay": "20%"}}
    changes: list[dict[str, Any]] = [{"phases": each} for each in phases]
    changes += [{"phases": phases[3], **decays}, {"phases": phases[3], **decays, "tokens": 32000}]
    changes += [{"phases": phases[3], "batch_size": 10}, {"phases": phases[3], "weight_decay": 0.1}]
    arms: dict[str, Any] = {f"a{index}": {"stages": {"pretrain": each}} for index, each in enumerate(changes)}
    arms["a4"] = {"same_as": "a3"}
    runs = [each.runs[0] for each in tree_of(arms=arms, seeds=2).lineages]
    found = set()
    for left in runs:
        for right in runs:
            last = min(left.total_steps or 0, right.total_steps or 0)
            same = [step for step in range(last + 1) if left.key(step) == right.key(step)]
            expected = max(same) if left.parent == right.parent else 0
            assert left.shared_steps(right) == expected
            found.add(expected)
    assert {0, 10, 30, 50, 70, 100} <= found


def test_every_existing_checkpoint_of_a_trace_is_a_node_of_its_own() -> None:
    names = ("base", "tuned", "preferred", "final")
    stages = {name: {"kind": "existing", "checkpoint": name} for name in names[1:]}
    tree = tree_of(start={"kind": "existing", "checkpoint": "base"}, stages=stages, arms={}, data={})
    assert [(cell.position, tree.nodes[cell.node].inputs["existing"]) for cell in tree.cells] == [
        ("start", "base"),
        ("tuned", "tuned"),
        ("preferred", "preferred"),
        ("final", "final"),
    ]
    parents = [tree.nodes[cell.node].parent for cell in tree.cells]
    assert parents == [None, *(cell.node for cell in tree.cells[:-1])]


def test_a_part_that_no_world_has_is_named_before_anything_is_read() -> None:
    for data in ({"data": "world.safty"}, {"data": "derived"}):
        changed = {**STUDY["stages"], "sft": {"kind": "sft", **data}}
        declared = {**STUDY["data"], "derived": {"source": "world.safty"}}
        with pytest.raises(StudyError, match=r"no part 'safty' .*did you mean 'safety'"):
            tree_of(stages=changed, data=declared)


@pytest.mark.parametrize(
    ("places", "message"),
    [
        (["0%", "50%"], "measure_at lists 0%, which comes to step 0 of 100 updates: its beginning"),
        (["50%", "100%"], "measure_at lists 100%, which comes to step 100 of 100 updates: its end, which is measured"),
        (["50%", 63999], "measure_at lists 6.4e\\+04, which comes to step 100 of 100"),
        (["20%", "50%", "50.2%"], "measure_at lists 50% and 50.2%, which are both step 50 of 100 updates: leave one"),
        (["50%", 32000], "measure_at lists 50% and 3.2e\\+04, which are both step 50"),
    ],
)
def test_places_at_which_nothing_of_its_own_would_be_measured_are_refused(
    places: list[str | int], message: str
) -> None:
    def stages(measure_at: list[str | int]) -> dict[str, Any]:
        return {**STUDY["stages"], "pretrain": {**STUDY["stages"]["pretrain"], "measure_at": measure_at}}

    with pytest.raises(StudyError, match=f"stage 'pretrain': {message}"):
        tree_of(stages=stages(places))
    tree_of(stages=stages(places), arms={"none": {"stages": {"pretrain": {"measure_at": []}}}})
    with pytest.raises(StudyError) as caught:
        tree_of(arms={"some": {"stages": {"pretrain": {"measure_at": places}}}})
    assert caught.value.places[0][:5] == ("arms", "some", "stages", "pretrain", "measure_at")


def test_a_label_of_the_start_names_its_cells_and_enters_no_key() -> None:
    def tree(label: str | None, **more: Any) -> StudyTree:
        start = {"kind": "existing", "checkpoint": "org/name@main"} | ({} if label is None else {"label": label})
        return tree_of(start=start, stages={"sft": STUDY["stages"]["sft"]}, arms={}, **more)

    plain, named = tree(None), tree("base")
    assert [cell.name for cell in plain.cells] == ["main@start", "main@sft"]
    assert [cell.name for cell in named.cells] == ["main@base", "main@sft"]
    assert [node.label for node in named.nodes.values()] == ["base", "sft"]
    assert list(plain.nodes) == list(named.nodes)
    weights = {"main@sft": 1.0, "main@base": -1.0}
    contrast = {"name": "sft", "kind": "path", "measure": "over_refusal", "weights": weights}
    assert tree("base", contrasts=[contrast]).nodes.keys() == named.nodes.keys()
    with pytest.raises(StudyError, match="a stage cannot be called 'sft', which is where each arm begins"):
        tree("sft")
    with pytest.raises(StudyError, match="pattern"):
        tree("a@b")
    labelled = {"kind": "existing", "checkpoint": "org/other@main", "label": "other"}
    with pytest.raises(StudyError, match="stage 'later' has a label, which only a start needs"):
        tree_of(start={"kind": "existing", "checkpoint": "org/name@main"}, stages={"later": labelled}, arms={})
