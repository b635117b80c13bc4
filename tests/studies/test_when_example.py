"""The example of a timing study on a real corpus: planned without corpus, model or network, refused when it is run."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from upbringing.base.errors import StudyError
from upbringing.lab.planning.plan import plan
from upbringing.lab.planning.planned import Plan
from upbringing.lab.session import open_session

FOLDER = Path(__file__).parents[2] / "studies" / "when-to-intervene-smollm2-1.7b"
STEPS, TOKENS_PER_STEP = 953, 2048 * 512


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """The plan, made where every socket is refused."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a plan opened a socket")

    store = tmp_path_factory.mktemp("when") / "store"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "socket", refuse)
        made = plan(open_session(FOLDER / "study.yaml", store=store, reads_only=True), read_data=True, calibrate=True)
    assert not store.exists()
    return made


def test_the_tree_trains_its_distinct_prefixes(planned: Plan) -> None:
    """Of 11 arms: four whole runs, three from 20 %, two from 60 %, two from 90 %; each of three seeds."""
    distinct = 4 * STEPS + 3 * (STEPS - 191) + 2 * (STEPS - 572) + 2 * (STEPS - 858)
    assert planned.sharing.tokens == 3 * distinct * TOKENS_PER_STEP
    assert planned.sharing.tokens_apart == 3 * 11 * STEPS * TOKENS_PER_STEP
    assert planned.sharing.forbidden == ()
    assert planned.sharing.accelerator_hours == pytest.approx(6 * 1.71e9 * planned.sharing.tokens / 1.5e14 / 3600)
    assert planned.seconds is None


def test_late_starts_keep_their_dose_where_that_is_asked(planned: Plan) -> None:
    doses = {
        arm: sum(
            tokens
            for phase in planned.curricula
            if arm in phase.arms
            for name, tokens in phase.planned
            if name in ("rephrased", "refusals", "morals")
        )
        for arm in ("never", "from_0", "from_20", "from_60", "from_20_dose", "from_60_dose")
    }
    assert doses["never"] == 0
    assert doses["from_20_dose"] == doses["from_60_dose"] == pytest.approx(doses["from_0"], abs=3)
    assert doses["from_60"] / doses["from_0"] == pytest.approx(0.4, abs=0.001)
    late = {phase.learning_rate for phase in planned.curricula if phase.first_step in (191, 572)}
    assert late == {2e-4}  # the plateau


def test_what_is_not_here_is_named_by_the_plan_and_refused_by_a_run(planned: Plan, tmp_path: Path) -> None:
    (warning,) = [each for each in planned.warnings if "files are not here" in each]
    assert warning.startswith("9 files are not here (raw: corpus/raw.parquet, ")
    assert any("corpus/instructions.parquet is not here" in each for each in planned.not_known)
    with pytest.raises(StudyError, match=r"names the file corpus/safe.parquet, which does not exist in .*put it there"):
        open_session(FOLDER / "study.yaml", store=tmp_path / "store")


def test_the_readme_says_what_was_not_checked() -> None:
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    for words in ("**Question.**", "**Prediction", "not run here", "not checked", "upbringing data transform"):
        assert words in readme
