"""When margins and contrasts were fixed: before the first answer, after it, or nobody says."""

from __future__ import annotations

import pytest

from upbringing.formats.findings import Findings
from upbringing.formats.tree import Registered, StudyInfo, Tree
from upbringing.reporting.exports.card import card_of
from upbringing.reporting.inputs import Inputs
from upbringing.reporting.verdicts import _registered


@pytest.mark.parametrize(
    ("before", "card", "screen"),
    [
        (True, "fixed before the first answer (", "before the first answer"),
        (False, "fixed after the first answer (", "after answers were seen"),
        (None, "fixed at a time that is not stated (", "when is not stated"),
    ],
)
def test_what_nobody_says_of_the_time_is_not_made_up(before: bool | None, card: str, screen: str) -> None:
    study = StudyInfo(name="s", registered=Registered(sha256="ab" * 32, before_first_row=before))
    tree = Tree(study=study, checkpoints=())
    inputs = Inputs(tree=tree, findings=Findings(), rows=None, answers=None, records={})
    assert card in card_of(inputs)
    assert _registered(inputs) == screen
