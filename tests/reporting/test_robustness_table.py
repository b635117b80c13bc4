"""The table of other estimators in a primary claim: whole, escaped, the same bytes, and where they disagree."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from report_fixture import write_findings, write_results
from report_hostile import HOSTILE

from upbringing.formats.findings import Claim, Robustness, read_findings
from upbringing.reporting.build import write_report
from upbringing.reporting.exports.tables import csv_text, tables_of
from upbringing.reporting.inputs import read_inputs
from upbringing.reporting.robustness import OTHERWISE, WIDENED, disagreement_of, rows_of, title_of

DRAWN = Robustness(
    method="multi-bootstrap", estimate=0.2, low=0.1, high=0.31, agrees_sign=True, agrees_excludes_zero=True
)
FITTED = Robustness(
    method="glmm", scale="logit", estimate=-0.9, low=-2.0, high=0.2, df=4.0, wald_low=-1.7, wald_high=-0.1,
    agrees_sign=False, agrees_excludes_zero=None,
)  # fmt: skip
REFUSED = Robustness(method="glmm", scale="logit", reason="answers <b>alike</b>")


def claim(*lines: Robustness, bounds: dict[str, float] | None = None) -> Claim:
    return Claim(
        id="claim-0", kind="branch", measure="m", contrast="b - a", role="primary", estimate=0.2, low=0.09, high=0.3,
        bounds=bounds or {}, robustness=lines,
    )  # fmt: skip


def test_every_estimator_is_a_line_under_the_claims_own() -> None:
    own, drawn, fitted = rows_of(claim(DRAWN, FITTED))
    assert (own.label, own.cells) == ("this claim, as judged", ("+0.20", "[+0.09, +0.30]", "–"))
    assert (drawn.label, drawn.cells) == ("Multi-Bootstrap", ("+0.20", "[+0.10, +0.31]", "agrees"))
    assert fitted.label == "mixed model, log-odds"
    assert fitted.cells == (
        "−0.90",
        "[−2.00, +0.20] by t, 4 degrees of freedom; [−1.70, −0.10] by Wald",
        "disagrees: another sign",
    )
    assert rows_of(claim()) == ()


def test_what_was_not_estimated_has_a_reason() -> None:
    assert rows_of(claim(REFUSED))[1].cells == ("–", "–", "not estimated: answers <b>alike</b>")


def test_a_disagreement_stands_beside_the_claim() -> None:
    zero = DRAWN.model_copy(update={"agrees_excludes_zero": False})
    assert [disagreement_of(claim(line)) for line in (DRAWN, FITTED, zero, REFUSED)] == ["", OTHERWISE, OTHERWISE, ""]
    assert title_of(claim(DRAWN)) == "Other estimators"
    assert WIDENED in title_of(claim(DRAWN, bounds={"low": 0.1, "high": 0.3}))


def test_primary_claims_show_it_and_bytes_stay_the_same(results: Path, tmp_path: Path) -> None:
    page = write_report(results, tmp_path / "one.html").read_bytes()
    again = write_report(write_results(tmp_path / "again"), tmp_path / "two.html").read_bytes()
    assert page == again
    told = [each for each in read_findings(results / "findings.json").claims if each.robustness]
    assert told
    assert page.decode().count("this claim, as judged") == len(told)
    assert all(each.role == "primary" for each in told)


def test_reports_of_findings_without_it_show_nothing(results: Path, tmp_path: Path) -> None:
    folder = write_results(tmp_path / "older")
    findings = read_findings(folder / "findings.json")
    bare = tuple(each.model_copy(update={"robustness": ()}) for each in findings.claims)
    write_findings(findings.model_copy(update={"claims": bare}), folder)
    assert b"as judged</th>" not in write_report(folder, tmp_path / "page.html").read_bytes()


def test_hostile_words_stay_words(hostile: Path, tmp_path: Path) -> None:
    page = write_report(hostile, tmp_path / "page.html").read_text(encoding="utf-8")
    assert "not estimated: " in page
    assert not [text for text in HOSTILE[:3] if f"not estimated: {text}" in page]


def test_there_is_a_table_to_export(results: Path) -> None:
    tables = tables_of(read_inputs(results))
    lines = list(csv.DictReader(io.StringIO(csv_text(tables["robustness"]))))
    told = {each.id: each for each in read_findings(results / "findings.json").claims if each.robustness}
    assert [(line["claim"], line["method"]) for line in lines] == [
        (name, line.method) for name, each in told.items() for line in each.robustness
    ]
