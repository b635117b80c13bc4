"""AUROC, its values per base request, and detection at few false alarms: by hand and by formula."""

from __future__ import annotations

import numpy as np
import pytest

from upbringing.battery.probes.ranks import auroc, auroc_by_request, found_at, placements

HARMFUL = np.array([True, True, False, False])


def test_auroc_by_hand_with_a_tie() -> None:
    scores = np.array([3.0, 1.0, 1.0, 0.0])  # pairs: 3>1, 3>0, 1=1 (half), 1>0
    assert auroc(scores, HARMFUL) == pytest.approx(3.5 / 4)
    assert placements(scores, HARMFUL).tolist() == pytest.approx([1.0, 0.75, 0.75, 1.0])


def test_values_per_request_have_the_auroc_as_their_mean_and_delong_as_their_spread() -> None:
    random = np.random.default_rng(5)
    harmful = np.arange(70) < 30
    scores = random.standard_normal(70) + harmful
    values = auroc_by_request(scores, harmful, list(range(70)))
    assert values.mean() == pytest.approx(auroc(scores, harmful))
    found = placements(scores, harmful)
    delong = found[harmful].var() / 30 + found[~harmful].var() / 40
    assert values.var() / 70 == pytest.approx(delong, rel=1e-9)


def test_twins_count_as_one_request() -> None:
    random = np.random.default_rng(6)
    harmful = np.arange(60) < 30
    scores = random.standard_normal(60) + harmful
    values = auroc_by_request(scores, harmful, [place % 30 for place in range(60)])
    found = placements(scores, harmful)
    whole = auroc(scores, harmful)
    assert len(values) == 30
    assert values == pytest.approx(found[:30] + found[30:] - whole)


def test_detection_lets_through_as_many_benign_prompts_as_it_says() -> None:
    benign = np.arange(100.0)
    harmful = np.array([94.5, 95.0, 98.5, 99.5])
    scores, kinds = np.concatenate([harmful, benign]), np.arange(104) < 4
    found = found_at(scores, kinds, 0.05)  # 95 to 99 may pass: the threshold is 94
    assert found is not None
    assert found.tolist() == [True, True, True, True]
    found = found_at(scores, kinds, 0.01)  # 99 alone may pass
    assert found is not None
    assert found.tolist() == [False, False, True, True]


def test_less_than_one_benign_prompt_says_nothing() -> None:
    scores, kinds = np.arange(50.0), np.arange(50) < 10
    assert found_at(scores, kinds, 0.01) is None
    assert found_at(scores, kinds, 0.05) is not None  # two of forty
