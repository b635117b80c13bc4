"""The gates of I15 fail for wrong analyses: each is planted here in place of what the tool does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from upbringing.attribution import looks
from upbringing.attribution.claims import warnings
from upbringing.attribution.statistics.anytime import TUNED_FOR, confidence_sequence
from upbringing.attribution.statistics.crossed import prompts_inference
from upbringing.attribution.statistics.inference import Inference
from upbringing.validation import trials_looks
from upbringing.validation.exact_looks import (
    added_seeds_are_flagged,
    looks_hold_what_they_promise,
    looks_take_prompts_and_no_seeds,
)
from upbringing.validation.gates import read_gate
from upbringing.validation.monte_carlo import simulate
from upbringing.validation.suite_equivalence import equivalence_experiments

Sequence = Callable[..., Inference]
SHARE = 0.1


def fixed_number(values: np.ndarray, tuned_for: int = TUNED_FOR) -> Inference:
    """A test for a fixed number of prompts, taken at every look."""
    return prompts_inference(values)


def tuned_anew(values: np.ndarray, tuned_for: int = TUNED_FOR) -> Inference:
    """The sequence that is narrowest just where one looks."""
    return confidence_sequence(values, max(len(values), 1))


def scaled(factor: float) -> Sequence:
    def sequence(values: np.ndarray, tuned_for: int = TUNED_FOR) -> Inference:
        found = confidence_sequence(values, tuned_for)
        half = found.half_width
        if half is None:
            return found
        return replace(found, low=found.estimate - factor * half, high=found.estimate + factor * half)

    return sequence


def failed() -> set[str]:
    """The gates on looks that fail, few studies each."""
    chosen = [each for each in equivalence_experiments() if each.name in ("peeking", "looks at a change")]
    found = simulate(chosen, seed=0, share=SHARE)
    results = [read_gate(gate, each, out) for each, out in zip(chosen, found, strict=True) for gate in each.gates]
    return {each.claim for each in results if each.id == "I15" and each.is_bad}


def test_wrong_intervals_fail_the_simulated_gates(monkeypatch: pytest.MonkeyPatch) -> None:
    null, power = "a null stage is told from 0 at any of 50 looks", "a change of 0.10 is told from 0 at any of 50 looks"
    for sequence, expected in ((confidence_sequence, set()), (fixed_number, {null}), (scaled(0.6), {null})):
        monkeypatch.setattr(trials_looks, "confidence_sequence", sequence)
        found = failed()
        assert expected <= found
        assert bool(found) == bool(expected)
    monkeypatch.setattr(trials_looks, "confidence_sequence", scaled(2.0))
    assert failed() == {power}


@pytest.mark.parametrize("sequence", [fixed_number, tuned_anew, scaled(0.999), scaled(1.001)])
def test_wrong_intervals_fail_the_exact_check(sequence: Sequence, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looks, "confidence_sequence", sequence)
    held, num = looks_hold_what_they_promise()
    assert held < num


def test_looks_that_take_added_runs_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    assert looks_take_prompts_and_no_seeds() == (10, 10)
    monkeypatch.setattr(looks, "_check", lambda *_: None)
    assert looks_take_prompts_and_no_seeds() == (5, 10)


@pytest.mark.parametrize("is_always", [False, True])
def test_added_runs_that_are_not_told_apart_fail(is_always: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def said(tree: object, *_: object) -> Iterator[str]:
        if is_always:
            for found in (3, 5, 8):
                for planned in (None, 3, 5, 8):
                    yield warnings.SEEDS_ADDED.format(found=found, planned=planned)

    assert added_seeds_are_flagged() == (12, 12)
    monkeypatch.setattr(warnings, "_of_registration", said)
    held, num = added_seeds_are_flagged()
    assert held < num
