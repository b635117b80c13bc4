"""A claim in log-odds is never drawn, listed or said as if it were a difference of rates."""

from __future__ import annotations

from upbringing.attribution.evidence.cells import Source
from upbringing.attribution.evidence.design import Design
from upbringing.formats.findings import Claim, Findings
from upbringing.formats.tree import StudyInfo, Tree
from upbringing.reporting.differences import groups_of, interval_of
from upbringing.reporting.exports.figures import figures_of
from upbringing.reporting.exports.summary import claims_table
from upbringing.reporting.inputs import Inputs
from upbringing.reporting.runs import Runs

RATES = Claim(
    id="claim-0",
    kind="branch",
    measure="harm",
    contrast="b - a",
    weights={"b@sft": 1.0, "a@sft": -1.0},
    role="primary",
    verdict="changed",
    estimate=0.25,
    low=0.1,
    high=0.4,
    margin=0.1,
)
LOG_ODDS = RATES.model_copy(update={"id": "claim-1", "scale": "logit", "estimate": 1.2, "low": 0.4, "high": 2.0})


class NaturalRuns(Runs):
    def of_contrast(self, weights: object, source: Source) -> tuple[float, ...]:
        return (0.2, 0.3)


INPUTS = Inputs(
    tree=Tree(study=StudyInfo(name="scales"), checkpoints=()),
    findings=Findings(claims=(RATES, LOG_ODDS)),
    rows=None,
    answers=None,
    records={},
)


def test_single_runs_stand_beside_rates_alone() -> None:
    runs = NaturalRuns(None, Design({}, {}))
    natural, log_odds = interval_of(RATES, runs), interval_of(LOG_ODDS, runs)
    assert natural is not None
    assert natural.seeds == (0.2, 0.3)
    assert log_odds is not None
    assert (log_odds.estimate, log_odds.seeds) == (1.2, ())


def test_the_two_scales_share_no_axis_and_the_number_says_its_own() -> None:
    groups = groups_of(INPUTS, NaturalRuns(None, Design({}, {})))
    assert [len(group.claims) for group in groups] == [1, 1]
    assert [group.place for group in groups] == ["", "log-odds"]
    assert [group.claims[0].size for group in groups] == ["+0.25", "+1.20 in log-odds"]
    assert "1.20 in log" in claims_table(INPUTS, [LOG_ODDS])
    forests = [figure for name, figure in figures_of(INPUTS).items() if name.startswith("primary-differences")]
    assert len(forests) == 2
    assert ["log-odds" in figure for figure in forests] == [False, True]
