"""Gates judge numbers as they say: met, missed, naive, too few seeds, fewer studies than a full run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pytest

from upbringing.validation.gates import Experiment, Gate, performance, read_gate, summary
from upbringing.validation.monte_carlo import simulate
from upbringing.validation.planted import NULL


@dataclass(frozen=True)
class Coin:
    """A trial that is a success with a chance."""

    chance: float

    def __call__(self, random: np.random.Generator) -> Mapping[str, float]:
        """Return one throw."""
        return {"heads": float(random.random() < self.chance), "never": float("nan")}


def experiment(*gates: Gate, name: str = "coin", replicates: int = 1000) -> Experiment:
    return Experiment(
        name=name, trial=Coin(0.5), route="estimator", gates=gates, scenario=NULL, setting="-", replicates=replicates
    )


def heads(num: int, of: int) -> dict[str, np.ndarray]:
    return {"heads": np.array([1.0] * num + [0.0] * (of - num))}


@pytest.mark.parametrize(
    ("must", "num", "status"),
    [
        ("pass", 64, "pass"),
        ("pass", 65, "FAIL"),
        ("fail", 64, "PASSES, BUT MUST FAIL"),
        ("fail", 65, "fails, as it must"),
        ("inform", 64, "enough seeds"),
        ("inform", 65, "not enough seeds"),
    ],
)
def test_a_full_run_is_judged_by_the_threshold_itself(must: str, num: int, status: str) -> None:
    gate = Gate(id="X", claim="c", outcome="heads", at_most=0.064, must=must)
    result = read_gate(gate, experiment(gate), heads(num, 1000))
    assert result.status == status
    assert result.is_bad == (status in ("FAIL", "PASSES, BUT MUST FAIL"))
    assert result.error == pytest.approx(np.sqrt(num / 1000 * (1 - num / 1000) / 999))


def test_a_reduced_run_is_widened_by_what_it_adds_in_monte_carlo_error() -> None:
    gate = Gate(id="X", claim="c", outcome="heads", at_most=0.064)
    # of 100 studies the error is sqrt(0.064 x 0.936 / 100) = 0.0245; all but a tenth of its square is added
    widest = 0.064 + 2 * 0.02448 * np.sqrt(0.9)
    assert widest == pytest.approx(0.1104, abs=1e-4)
    assert read_gate(gate, experiment(gate), heads(11, 100)).status == "pass"
    assert read_gate(gate, experiment(gate), heads(12, 100)).status == "FAIL"
    naive = Gate(id="X", claim="c", outcome="heads", at_most=0.064, must="fail")
    assert read_gate(naive, experiment(naive), heads(7, 100)).status == "fails, as it must"


def test_what_never_happened_does_not_pass() -> None:
    for must in ("pass", "fail"):
        gate = Gate(id="X", claim="c", outcome="never", at_most=1.0, must=must)
        outcomes = {"never": np.array([np.nan, np.nan])}
        assert read_gate(gate, experiment(gate), outcomes).status == "FAIL"


def test_both_bounds_hold() -> None:
    gate = Gate(id="X", claim="c", outcome="heads", at_least=0.93, at_most=0.97)
    found = [read_gate(gate, experiment(gate), heads(num, 1000)).status for num in (929, 930, 970, 971)]
    assert found == ["FAIL", "pass", "pass", "FAIL"]


def test_statistics_by_hand() -> None:
    values = np.array([0.3, -0.1, 0.1, -0.1])
    assert summary(values, "mean") == pytest.approx((0.05, np.std(values, ddof=1) / 2))
    assert summary(-values, "bias")[0] == pytest.approx(0.05)
    root, error = summary(values, "rmse")
    assert root == pytest.approx(np.sqrt(0.03))
    assert error == pytest.approx(np.std(values**2, ddof=1) / 2 / (2 * root))


def test_performance_by_hand() -> None:
    outcomes = {
        "error": np.array([0.1, -0.1, 0.2]),
        "standard_error": np.array([0.1, 0.1, 0.2]),
        "covered": np.array([1.0, 1.0, 0.0]),
        "changed": np.array([0.0, 1.0, 1.0]),
    }
    found = performance(experiment(), outcomes)
    assert found is not None
    assert found.numbers["bias"][0] == pytest.approx(0.2 / 3)
    assert found.numbers["model / empirical SE"][0] == pytest.approx(np.sqrt(0.02) / np.std([0.1, -0.1, 0.2], ddof=1))
    assert found.numbers["covered"][0] == pytest.approx(2 / 3)
    assert performance(experiment(), heads(1, 2)) is None


def test_studies_do_not_depend_on_blocks_processes_or_neighbours() -> None:
    one, other = experiment(name="one", replicates=600), experiment(name="other", replicates=300)
    alone = simulate([one], seed=3)[0]["heads"]
    together = simulate([other, one], seed=3)[1]["heads"]
    assert np.array_equal(alone, together)
    assert 0.4 < alone.mean() < 0.6
    assert not np.array_equal(alone, simulate([one], seed=4)[0]["heads"])
    few = simulate([one], seed=3, share=0.1)[0]["heads"]
    assert np.array_equal(few, alone[:60])
    with pytest.raises(ValueError, match="one name"):
        simulate([one, one], seed=0)
