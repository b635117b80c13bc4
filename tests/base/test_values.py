"""Fingerprints, random streams and quantities."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upbringing.base.fingerprint import canonical_json, fingerprint
from upbringing.base.quantities import parse_count, parse_share, steps_at
from upbringing.base.streams import derived_seed, stream

plain_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def test_integers_floats_and_booleans_never_collide() -> None:
    assert len({fingerprint(value) for value in (1, 1.0, True, "1")}) == 4


@given(plain_values)
def test_a_fingerprint_depends_on_meaning_not_on_key_order(value: object) -> None:
    def shuffled(item: object) -> object:
        if isinstance(item, dict):
            return {key: shuffled(item[key]) for key in reversed(list(item))}
        return [shuffled(each) for each in item] if isinstance(item, list) else item

    assert fingerprint(value) == fingerprint(shuffled(value))
    json.loads(canonical_json(value))


def test_a_path_or_a_set_has_no_fingerprint() -> None:
    for value in (Path("x"), {1, 2}, float("nan"), {1: 2}):
        with pytest.raises(TypeError):
            fingerprint(value)


def test_named_streams_do_not_depend_on_process_or_on_each_other() -> None:
    code = "from upbringing.base.streams import stream; print(stream(3, 'world', 1).integers(1 << 40))"
    other = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "7"}
    )
    assert int(other.stdout) == stream(3, "world", 1).integers(1 << 40)
    assert derived_seed(3, "a", 1) != derived_seed(3, "a", "1")
    assert 0 <= derived_seed(3, "a") < 2**63


@pytest.mark.parametrize(("text", "count"), [("2M", 2_000_000), ("1.5k", 1500), (7, 7), ("0", 0), ("1B", 10**9)])
def test_counts_are_read(text: object, count: int) -> None:
    assert parse_count(text) == count


@pytest.mark.parametrize("text", ["2m", "-1", -1, True, 1.5, "1.0001k", "60%", "", None])
def test_what_is_no_count_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"count|whole"):
        parse_count(text)


@pytest.mark.parametrize(("text", "share"), [("60%", 0.6), (0.25, 0.25), ("0%", 0.0), (1, 1.0), ("12.5%", 0.125)])
def test_shares_are_read(text: object, share: float) -> None:
    assert parse_share(text) == share


@pytest.mark.parametrize("text", ["60", "101%", 1.5, -0.1, True, None])
def test_what_is_no_share_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="share"):
        parse_share(text)


@pytest.mark.parametrize(
    ("place", "step"), [(0.0, 0), (0.6, 60), (1.0, 100), (640, 10), (646, 10), (672, 10), (673, 11), (6400, 100)]
)
def test_places_round_to_the_nearest_step(place: float, step: int) -> None:
    assert steps_at(place, total_tokens=6400, tokens_per_step=64) == step


def test_a_place_beyond_the_budget_is_refused() -> None:
    with pytest.raises(ValueError, match="beyond"):
        steps_at(6401, total_tokens=6400, tokens_per_step=64)
