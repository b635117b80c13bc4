"""Streams of whole curricula: doses that are kept, densities that are not, windows that match between arms."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from upbringing.base.strict_yaml import Located
from upbringing.data.sources import FileSource
from upbringing.data.stream import open_stream
from upbringing.data.tally import read_tally
from upbringing.data.tokenizer import train_tokenizer
from upbringing.formats.record import SourceTokens
from upbringing.lab.building.filling import fill_stream
from upbringing.lab.building.library import Library
from upbringing.study.intervention_doses import Intervention, realised_dose
from upbringing.study.loading import study_from
from upbringing.study.recipes import DataBook
from upbringing.study.tree import StudyTree, study_tree

pytestmark = pytest.mark.model

WORDS = tuple(f"{first}{second}" for first in ("ba", "de", "fi", "go") for second in "bcdfghkl")
CONTEXT, BATCH, STEPS = 24, 4, 50
NAMES = ("web", "refusals", "morals", "placebo")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tokenizer and a file of texts of other lengths for every name."""
    found = tmp_path_factory.mktemp("doses")
    (found / "tokenizer").mkdir()
    train_tokenizer(WORDS, vocabulary=400, special_tokens=(), chat_template=None, folder=found / "tokenizer")
    for seed, name in enumerate(NAMES):
        draw = random.Random(seed)
        texts = [" ".join(draw.choices(WORDS, k=draw.randint(2, 9))) for _ in range(200)]
        (found / f"{name}.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in texts), encoding="utf-8")
    return found


def tree_of(folder: Path, arms: dict[str, Any]) -> StudyTree:
    pretrain = {
        "kind": "pretrain",
        "tokens": STEPS * BATCH * CONTEXT,
        "context": CONTEXT,
        "batch_size": BATCH,
        "phases": [{"data": "web"}],
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
    study = study_from(Located(value, {}, "study.yaml"))
    return study_tree(study, DataBook(study.data, folder, study.seed))


def built(folder: Path, scratch: Path, arms: dict[str, Any]) -> dict[str, Path]:
    """Write the stream of every arm and return its folder."""
    folders = {}
    for lineage in tree_of(folder, arms).lineages:
        stream = lineage.runs[0].stream
        assert stream is not None
        folders[lineage.arm.name] = scratch / lineage.arm.name
        folders[lineage.arm.name].mkdir(parents=True)
        library = Library(DataBook({name: FileSource(path=f"{name}.jsonl") for name in NAMES}, folder, 0), 0)
        fill_stream(stream, library, folder / "tokenizer", folders[lineage.arm.name])
    return folders


def tokens_of(stream: Path, source: str) -> int:
    found = {each.source: each for each in read_tally(stream).sources(STEPS)}
    return found[source].realised_tokens if source in found else 0


MIXED = {"mix": {"web": "70%", "refusals": "20%", "morals": "10%"}}
FULL = {"stages": {"pretrain": {"phases": [{"data": MIXED}]}}}


def late(until: Any, **words: Any) -> dict[str, Any]:
    return {"delay": {"of": "from_0", "stage": "pretrain", "until": until, **words}}


def test_a_kept_dose_is_the_same_tokens_within_one_window_whenever_it_starts(folder: Path, tmp_path: Path) -> None:
    starts = ("20%", "37%", 1_500, "60%", "70%")
    both = {"keep": "dose", "component": ["refusals", "morals"]}
    arms = {"from_0": FULL, **{f"a{number}": late(until, **both) for number, until in enumerate(starts)}}
    arms["one"] = late("60%", keep="dose", component="refusals")
    streams = built(folder, tmp_path, arms)
    for source in ("refusals", "morals"):
        wanted = tokens_of(streams["from_0"], source)
        assert wanted > 5 * CONTEXT
        for number in range(len(starts)):
            assert abs(tokens_of(streams[f"a{number}"], source) - wanted) <= CONTEXT
    assert abs(tokens_of(streams["one"], "refusals") - tokens_of(streams["from_0"], "refusals")) <= CONTEXT
    assert tokens_of(streams["one"], "morals") < tokens_of(streams["from_0"], "morals") / 2  # not asked to be kept


def test_a_kept_density_loses_dose_in_proportion(folder: Path, tmp_path: Path) -> None:
    streams = built(folder, tmp_path, {"from_0": FULL, "from_20": late("20%"), "from_60": late("60%"), "never": {}})
    doses = {arm: tokens_of(stream, "refusals") for arm, stream in streams.items()}
    for arm, share in (("from_20", 0.8), ("from_60", 0.4), ("never", 0.0)):
        assert doses[arm] == pytest.approx(share * doses["from_0"], abs=CONTEXT)


def test_the_dose_of_a_checkpoint_is_what_its_stream_holds(folder: Path, tmp_path: Path) -> None:
    arms = {"from_0": FULL, "from_37": late("37%"), "never": {}}
    streams, tree = built(folder, tmp_path, arms), tree_of(folder, arms)
    intervention = Intervention(frozenset({"refusals", "morals"}), frozenset({"web"}))
    for lineage in tree.lineages:
        recipe, stream = lineage.runs[0].stream, streams[lineage.arm.name]
        assert recipe is not None
        found = realised_dose(intervention, recipe, STEPS, STEPS)
        assert found is not None
        tokens = {name: tokens_of(stream, name) for name in NAMES}
        share = (tokens["refusals"] + tokens["morals"]) / sum(tokens.values())
        assert found.dose == pytest.approx(share, abs=0.01)  # windows hold padding, tokens do not
        assert (found.start is None) == (share == 0)


def test_matched_windows_hold_the_same_other_sources_at_the_same_places(folder: Path, tmp_path: Path) -> None:
    """Refusals give way to a placebo of the same share: every window of the others is the same in both arms."""
    shares = {"web": "40%", "morals": "30%", "refusals": "30%"}
    placebo = {"web": "40%", "morals": "30%", "placebo": "30%"}
    arms = {
        "plain": {"stages": {"pretrain": {"phases": [{"data": {"mix": shares}}]}}},
        "matched": {"stages": {"pretrain": {"phases": [{"data": {"mix": placebo}}]}}, "windows_of": "plain"},
    }
    streams = built(folder, tmp_path, arms)
    one, other = (windows(streams[name]) for name in ("plain", "matched"))
    assert len(one) == len(other) == STEPS * BATCH
    same = (one == other).all(axis=1)
    assert int(same.sum()) == round(0.7 * STEPS * BATCH)
    alone = built(folder, tmp_path / "alone", {"main": {"stages": {"pretrain": {"phases": [{"data": "refusals"}]}}}})
    refusals = windows(alone["main"])[: int((~same).sum())]
    assert np.array_equal(one[~same], refusals)


def windows(stream: Path) -> NDArray[np.int32]:
    return np.asarray(open_stream(stream).arrays["tokens"])


def test_replay_keeps_its_share_of_every_phase_of_pretraining(folder: Path, tmp_path: Path) -> None:
    phases = [{"data": "web", "until": "50%"}, {"data": "refusals"}]
    arms = {"main": {"stages": {"pretrain": {"phases": phases, "replay": {"data": "morals", "share": "25%"}}}}}
    tally = read_tally(built(folder, tmp_path, arms)["main"])
    for begin, end, source in ((0, 25, "web"), (25, 50, "refusals")):
        found: dict[str, SourceTokens] = {each.source: each for each in tally.sources(end, first_step=begin)}
        assert {name: each.planned_share for name, each in found.items()} == {source: 0.75, "morals": 0.25}
        assert found["morals"].realised_tokens == pytest.approx(25 * BATCH * CONTEXT * 0.25, rel=0.1)
