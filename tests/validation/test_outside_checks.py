"""The checks on what lacks or is overstated fail for analyses that overlook it."""

from __future__ import annotations

import pytest

from upbringing.attribution.claims import asked, warnings
from upbringing.attribution.contrasts import estimates
from upbringing.attribution.evidence.copies import Copies
from upbringing.attribution.statistics.inference import Inference
from upbringing.validation.exact_outside import (
    overstated_seeds_are_no_recipe,
    unasked_prompts_are_said,
    what_depends_on_the_answer_is_not_decided,
    what_lacks_is_not_measured,
)


def test_each_check_holds() -> None:
    for check in (overstated_seeds_are_no_recipe, unasked_prompts_are_said, what_lacks_is_not_measured):
        held, num = check()
        assert held == num > 0
    held, num = what_depends_on_the_answer_is_not_decided()
    assert held == num > 0


def test_copies_that_are_counted_as_runs_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asked, "copies_of", lambda *_: Copies())
    assert overstated_seeds_are_no_recipe() == (5, 10)


def test_answers_that_are_dropped_without_a_word_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    def unchanged(inference: Inference, *_: object) -> Inference:
        return inference

    monkeypatch.setattr(estimates, "widened", unchanged)
    monkeypatch.setattr(estimates.Pivot, "bounds", lambda *_: (None, None))
    held, num = what_depends_on_the_answer_is_not_decided()
    assert held < num / 2


@pytest.mark.parametrize("said", [[], ["1 of 2 prompts have no row on a checkpoint (most are lacking on nowhere)"]])
def test_unasked_prompts_that_are_not_said_or_made_up_fail(said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warnings, "lacking_prompts", lambda *_: said)
    held, num = unasked_prompts_are_said()
    assert held <= num / 2
