"""What labels corrected is drawn corrected; indices, ranges over orders, aliases and attempts are shown."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from report_fixture import write_findings, write_results, write_tree

from upbringing.formats.answers import ANSWERS_SCHEMA, answers_of, read_answers, write_answers
from upbringing.formats.findings import Claim, Corrected, Findings, OrderRange, Units, read_findings
from upbringing.formats.rows import Row, rows_table, write_rows
from upbringing.formats.tree import Cell, CellSeeds, Checkpoint, MeasureInfo, StageInfo, StudyInfo, Tree
from upbringing.reporting.attempts import attempts_of
from upbringing.reporting.build import write_report
from upbringing.reporting.deciding import correction_of, of_claim, of_level
from upbringing.reporting.inputs import read_inputs
from upbringing.reporting.together import together_of
from upbringing.reporting.words import consequence

NUMBER = Corrected(
    estimate=-0.26,
    low=-0.37,
    high=-0.15,
    verdict="changed",
    method="prediction-powered",
    power=0.7,
    labels=600,
    seeds=5,
)
CORRECTED = Claim(
    id="claim-0",
    kind="branch",
    measure="harm",
    contrast="with - without",
    weights={"on+on@final": 1.0, "off+off@final": -1.0},
    role="primary",
    level="L2",
    units=Units(items=20, clusters=20, seeds=5, roots=5),
    estimate=0.12,
    low=0.05,
    high=0.19,
    margin=0.1,
    verdict="changed",
    judge="judge",
    calibration="corrected",
    corrected=NUMBER,
)


def findings() -> Findings:
    """One corrected claim, one with a range over orders, and both tables, of a factorial of two parts."""
    ranged = CORRECTED.model_copy(
        update={
            "id": "claim-1", "kind": "shapley", "contrast": "sft, Shapley value", "corrected": None,
            "role": "exploratory", "order_range": OrderRange(low=-0.1, high=0.3, is_wide=True),
        }
    )  # fmt: skip
    index = {"position": "final", "factors": ["midtrain", "sft"], "measure": "harm"}
    known = {"redundancy": -0.4, "redundancy_low": -0.6, "redundancy_high": -0.2, "redundancy_reason": None}
    unknown = {"non_additivity": None, "non_additivity_low": None, "non_additivity_high": None,
               "non_additivity_reason": "nothing varied"}  # fmt: skip
    aliased = {"position": "final", "factors": list("abcd"), "effects": ["a x b", "c x d"]}
    level = {"cell": "on+on@final", "measure": "harm", "condition": "default", "judge": "judge", "split": None,
             "estimate": 0.5, "low": 0.4, "high": 0.6, "corrected": 0.3, "corrected_low": 0.1, "corrected_high": 0.5,
             "items": 20, "unscored": 0}  # fmt: skip
    tables = {"indices": [index | known | unknown], "aliases": [aliased], "levels": [level]}
    return Findings(study="together", claims=(CORRECTED, ranged), tables=tables)


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with these findings, rows of random scores and a tree of four arms in five runs."""
    folder = tmp_path_factory.mktemp("together")
    random = np.random.default_rng(0)
    arms = ["+".join(levels) for levels in product(("on", "off"), repeat=2)]
    names = [(arm, run, f"{arm}-{run}") for arm in arms for run in range(5)]
    rows = [
        Row(checkpoint=name, measure="harm", item=f"q{item}", judge="judge", judge_kind="llm", value=float(value))
        for _, _, name in names
        for item, value in enumerate(random.integers(0, 2, 20))
    ]
    write_rows(rows_table(rows), folder / "rows.parquet")
    stages = (StageInfo(role="pretrain", kind="pretrain"),)
    cells = tuple(
        Cell(arm=arm, position="final", checkpoint=name, seeds=CellSeeds(pretrain=run)) for arm, run, name in names
    )
    tree = Tree(
        study=StudyInfo(name="together", primary=("harm",)),
        checkpoints=tuple(Checkpoint(id=name, stages=stages) for _, _, name in names),
        cells=cells,
        measures=(MeasureInfo(id="harm", direction="lower-is-safer"),),
    )
    write_tree(tree, folder)
    write_findings(findings(), folder)
    return folder


def test_what_labels_corrected_decides() -> None:
    number = of_claim(CORRECTED)
    assert (number.estimate, number.low, number.high) == (-0.26, -0.37, -0.15)
    assert number.judged == (0.12, 0.05, 0.19)
    assert consequence(CORRECTED, "lower-is-safer") == "safer"  # the judge alone would have said: less safe
    assert "corrected by 600 human labels; as judged +0.12 [+0.05, +0.19]" in correction_of(CORRECTED)
    plain = of_claim(CORRECTED.model_copy(update={"corrected": None}))
    assert (plain.estimate, plain.judged) == (0.12, None)
    level = of_level({"estimate": 0.5, "low": 0.4, "high": 0.6, "corrected": 0.3})
    assert (level.estimate, level.low, level.judged) == (0.3, None, (0.5, 0.4, 0.6))


def test_the_page_draws_the_corrected_number_and_says_so(together: Path, tmp_path: Path) -> None:
    page = write_report(together, tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Corrected by human labels; as judged +0.12, +0.05, +0.19" in page.replace("\u2212", "-")
    assert "the broken line below it, and the single runs, are as judged" in page
    assert 'class="judged"' in page
    assert "<b>\u22120.26</b>" in page
    assert "0.30" in page  # the level, corrected
    assert "corrected by human labels where they allow it" in page


def test_indices_orders_and_aliases_are_shown(together: Path, tmp_path: Path) -> None:
    found = together_of(read_inputs(together))
    assert [figure.title for figure in found.indices] == ["redundancy", "non-additivity"]
    assert found.indices[0].rows[0].cells[:2] == ("\u22120.40", "[\u22120.60, \u22120.20]")
    assert found.indices[1].rows[0].cells == ("–", "–", "nothing varied")
    assert not found.indices[1].chart
    assert [(line.orders, line.is_wide[:3]) for line in found.orders] == [("\u22120.10 to +0.30", "yes")]
    assert [line.effects for line in found.aliases] == ["a x b = c x d"]
    page = write_report(together, tmp_path / "page.html").read_text(encoding="utf-8")
    for text in ('id="together"', "redundancy", "Over the orders", "a x b = c x d", "nothing varied"):
        assert text in page


def test_a_study_without_them_has_no_such_part(results: Path, tmp_path: Path) -> None:
    assert not read_findings(results / "findings.json").tables.get("aliases")
    assert "What this fraction cannot tell apart" not in write_report(results, tmp_path / "page.html").read_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_these_parts_are_accessible_and_fit_a_phone(browser: Any, together: Path, tmp_path: Path, scheme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    # axe injects a script, which the report's policy rightly forbids: the policy is bypassed for this test only.
    page = browser.new_context(color_scheme=scheme, bypass_csp=True, viewport={"width": 390, "height": 844}).new_page()
    page.goto(write_report(together, tmp_path / "page.html").as_uri())
    page.evaluate("document.querySelectorAll('details').forEach((each) => (each.open = true))")
    found = Axe().run(page).response["violations"]
    width = page.evaluate("document.documentElement.scrollWidth")
    page.context.close()
    assert [(each["id"], each["impact"], each["nodes"][0]["html"]) for each in found] == []
    assert width <= 390


def test_attempts_are_counted_per_checkpoint_and_uneven_ones_flagged(tmp_path: Path) -> None:
    folder = write_results(tmp_path / "results", num_seeds=1)
    even = attempts_of(read_inputs(folder))
    assert even.lines
    assert (even.num_again, even.warning, even.summary) == (0, "", "one per answer")
    answers = answers_of(read_answers(folder / "answers"))
    path = next((folder / "answers").glob("*.parquet"))
    name = answers_of(pq.read_table(path))[0].checkpoint
    again = [
        each.__class__(**{**each.__dict__, "attempts": 3}) if each.checkpoint == name and number % 10 == 0 else each
        for number, each in enumerate(answers_of(pq.read_table(path)))
    ]
    write_answers(again, path)
    uneven = attempts_of(read_inputs(folder))
    assert uneven.num_again == sum(each.attempts > 1 for each in again) > 0
    assert name in uneven.warning
    assert "Attempts: " in write_report(folder, tmp_path / "page.html").read_text(encoding="utf-8")
    assert len(answers) == len(answers_of(read_answers(folder / "answers")))


def test_older_answers_say_nothing_of_attempts(tmp_path: Path) -> None:
    folder = write_results(tmp_path / "results", num_seeds=1)
    for path in (folder / "answers").glob("*.parquet"):
        pq.write_table(pq.read_table(path).drop_columns(["attempts"]), path)
    assert attempts_of(read_inputs(folder)).lines == ()
    assert "attempts" in ANSWERS_SCHEMA.names
    assert "Attempts: " not in write_report(folder, tmp_path / "page.html").read_text(encoding="utf-8")
