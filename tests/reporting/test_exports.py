"""Exports: what other tools read is whole, the same bytes, and harmless whatever stands in it."""

from __future__ import annotations

import csv
import io
import re
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from report_fixture import write_findings, write_results
from report_hostile import HOSTILE
from typer.testing import CliRunner

import upbringing
from upbringing.attribution.statistics.adjusted_intervals import simultaneous_intervals
from upbringing.base.errors import FormatError, MissingExtraError, StudyError
from upbringing.base.markdown import escaped, inline, table
from upbringing.cli import app
from upbringing.formats.answers import read_answers
from upbringing.formats.findings import Claim, Findings, read_findings
from upbringing.reporting.exports.figures import figure_style, figures_of, png_of, require_png, standalone
from upbringing.reporting.exports.folder import export_results
from upbringing.reporting.exports.names import FileNames
from upbringing.reporting.exports.tables import csv_text, safe_text, tables_of
from upbringing.reporting.inputs import read_inputs

SVG = "{http://www.w3.org/2000/svg}"
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\x00", "\uff1d")


def lines_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.fixture(scope="module")
def exported(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    written = export_results(results, folder, png=True)
    assert written == sorted(path for path in folder.rglob("*") if path.is_file())
    return folder


def test_the_same_results_give_the_same_files(results: Path, exported: Path, tmp_path: Path) -> None:
    again = export_results(write_results(tmp_path / "again"), tmp_path / "out", png=True)
    assert len(again) > 20
    for path in again:
        assert path.read_bytes() == (exported / path.relative_to(tmp_path / "out")).read_bytes(), path.name


def test_every_claim_is_a_line_and_its_numbers_are_numbers(results: Path, exported: Path) -> None:
    claims = read_findings(results / "findings.json").claims
    lines = lines_of((exported / "tables" / "claims.csv").read_text(encoding="utf-8"))
    assert [line["id"] for line in lines] == [claim.id for claim in claims]
    for line, claim in zip(lines, claims, strict=True):
        assert (float(line["estimate"]) if line["estimate"] else None) == claim.estimate
        assert int(line["units_seeds"]) == claim.units.seeds
    assert any(line["estimate"].startswith("-") for line in lines)  # a negative number is no text


def test_figures_that_compare_primary_claims_draw_what_holds_for_all_and_the_table_has_its_numbers(
    results: Path, exported: Path
) -> None:
    known = simultaneous_intervals(read_inputs(results).findings.claims)
    assert known
    lines = lines_of((exported / "tables" / "claims.csv").read_text(encoding="utf-8"))
    assert {line["id"] for line in lines if line["simultaneous_low"]} == set(known)
    for line in lines:
        if line["id"] in known:
            ends = float(line["simultaneous_low"]), float(line["simultaneous_high"])
            assert ends == (known[line["id"]].low, known[line["id"]].high)
            assert ends[0] <= float(line["low"]) <= float(line["high"]) <= ends[1]
    forests = [path.read_text(encoding="utf-8") for path in exported.rglob("primary-differences-*.svg")]
    assert sum(text.count('class="together"') for text in forests) == 3 * len(known)  # a line and two ends each


def test_there_is_a_table_for_each_of_the_findings_and_of_the_tree(results: Path, exported: Path) -> None:
    found = {path.stem for path in (exported / "tables").iterdir()}
    assert {"claims", "conclusions", "levels", "checkpoints", "cells", "gates"} <= found
    inputs = read_inputs(results)
    for name, rows in tables_of(inputs).items():
        assert len(lines_of(csv_text(rows))) == len(rows), name


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("=1+1", "'=1+1"), ("+1", "'+1"), ("-2", "'-2"), ("@SUM(A1)", "'@SUM(A1)"), ("\tx", "'\tx"),
        ("\r=1", "'\\u000d=1"), ("\x00=1", "'\\u0000=1"), ("  =1", "'  =1"), ("\uff1d1", "'\uff1d1"),
        ("a=1", "a=1"), ("concept - shuffled", "concept - shuffled"), ("", ""), ("'=1", "'=1"),
    ],
)  # fmt: skip
def test_text_never_begins_a_formula(text: str, safe: str) -> None:
    assert safe_text(text) == safe


def test_numbers_truth_values_and_nothing_stand_as_they_are() -> None:
    text = csv_text([{"=name": -0.5, "b": True, "c": None, "d": [], "e": {"x": 1}}, {"b": -3, "f": "=1"}])
    assert text == '\'=name,b,c,d,e,f\n-0.5,true,,,"{""x"": 1}",\n,-3,,,,\'=1\n'


def test_no_cell_of_the_hostile_study_is_a_formula(hostile: Path) -> None:
    cells = [
        cell
        for rows in tables_of(read_inputs(hostile)).values()
        for line in csv.reader(io.StringIO(csv_text(rows)))
        for cell in line
    ]
    texts = [cell for cell in cells if cell and not re.fullmatch(r"-?[0-9.]+(e-?[0-9]+)?", cell)]
    assert len(texts) > 500
    assert not [text for text in texts if text.lstrip().startswith(FORMULA)]


def test_figures_are_whole_files_with_their_looks_inside(exported: Path) -> None:
    figures = sorted((exported / "figures").glob("*.svg"))
    assert {"tree-attack-success", "along-the-tree-knowledge", "primary-differences-in-attack-success"} <= {
        path.stem for path in figures
    }
    for path in figures:
        root = ElementTree.fromstring(path.read_text(encoding="utf-8"))
        assert root.tag == f"{SVG}svg"
        assert root.find(f"{SVG}style") is not None
        assert "var(" not in path.read_text(encoding="utf-8")
        picture = path.with_suffix(".png").read_bytes()
        assert picture.startswith(b"\x89PNG\r\n")
        width, height = (int.from_bytes(picture[start : start + 4], "big") for start in (16, 20))
        assert (width, height) == (round(3 * float(root.attrib["width"])), round(3 * float(root.attrib["height"])))


def test_every_look_of_a_chart_is_taken_along() -> None:
    style = figure_style()
    for rule in ("svg .tick{", "svg .whisker", "svg .mark.s0", "svg .band{"):
        assert rule in style, rule
    assert "#fcfbf8" not in style  # on paper the ground is white
    assert "[data-focus" not in style
    assert "@media" not in style


def test_hostile_names_are_text_in_figures_too(hostile: Path) -> None:
    figures = figures_of(read_inputs(hostile))
    assert len(figures) > 10
    for figure in figures.values():
        root = ElementTree.fromstring(figure)
        tags = {element.tag.removeprefix(SVG) for element in root.iter()}
        assert tags <= {"svg", "style", "title", "desc", "text", "rect", "line", "circle", "path", "ellipse", "g"}
    told = " ".join("".join(ElementTree.fromstring(figure).itertext()) for figure in figures.values())
    assert "<img src=x onerror=alert(1)>" in told
    assert standalone("<svg><text>\ufffe</text></svg>").count("\ufffd") == 1  # type: ignore[arg-type]


def test_png_needs_its_extra_and_says_so(results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_png()
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'upbringing\[png\]'"):
        export_results(results, tmp_path / "out", png=True)
    assert not (tmp_path / "out").exists()
    assert export_results(results, tmp_path / "out")


def test_labels_that_no_font_draws_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resvg_py.svg_to_bytes", lambda **options: b"the same")
    assert png_of("<svg/>") == b"the same"
    with pytest.raises(MissingExtraError, match="no font was found"):
        require_png()


def test_the_summary_says_what_a_reviewer_asks(results: Path, exported: Path) -> None:
    text = (exported / "summary.md").read_text(encoding="utf-8")
    findings = read_findings(results / "findings.json")
    primary = [claim for claim in findings.claims if claim.role == "primary"]
    assert text.startswith("## Which stage makes the model refuse hazards")
    for claim in primary:
        assert f"- {escaped(claim.sentence)}\n" in text
        assert f"| {inline(claim.contrast)} |" in text
    assert text.count("\n| ") == len(primary) + 1
    assert "- Gate failed: Benign accuracy of shuffled+answered differs by 0.08" in text
    assert "- concept-and-refusal: Refusal of unseen hazards needs both" in text


def test_the_model_card_lists_levels_claims_and_limits(exported: Path) -> None:
    text = (exported / "model-card.md").read_text(encoding="utf-8")
    assert text.startswith("## Evaluation of safety along training\n")
    assert "were fixed before the first answer (sha256 9f2c9f2c9f2c…)" in text
    line = next(line for line in text.splitlines() if line.startswith("| concept+safety@<!-- -->sft |"))
    assert re.fullmatch(r"\| concept\+safety@<!-- -->sft \| 0\.\d\d \| \\\[0\.\d\d, 0\.\d\d\\\] \| 90 \| 0 \|", line)
    assert "### Limits" in text
    assert "no positive control" in text


def test_without_findings_the_summary_says_so(tmp_path: Path) -> None:
    results = write_results(tmp_path / "own")
    (results / "findings.json").unlink()
    folder = tmp_path / "out"
    export_results(results, folder)
    assert "Nothing has been compared yet" in (folder / "summary.md").read_text(encoding="utf-8")
    write_findings(Findings(claims=(Claim(id="c", kind="branch", measure="knowledge", contrast="a - b"),)), results)
    export_results(results, folder)
    assert "No primary measure was declared" in (folder / "summary.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "markdown"),
    [
        ("<img src=x>", "&lt;img src=x&gt;"),
        ("a | b", r"a \| b"),
        ("[x](javascript:1)", r"\[x\](javascript:1)"),
        ("@everyone", "@<!-- -->everyone"),
        ("fixes #12", r"fixes \#<!-- -->12"),
        ("https://a.b", "https:<!-- -->//a.b"),
        ("1. one", r"1\. one"),
        ("- one", r"\- one"),
        ("two\nlines", "two lines"),
        ("`code` **bold** __x__ ~~y~~ $z$", r"\`code\` \*\*bold\*\* \_\_x\_\_ \~\~y\~\~ \$z\$"),
        ("&lt;b&gt;", "&amp;lt;b&amp;gt;"),
        ("0.5 - 0.3", "0.5 - 0.3"),
    ],
)  # fmt: skip
def test_markdown_shows_text_as_it_is(text: str, markdown: str) -> None:
    assert escaped(text) == markdown


def test_hostile_text_stays_in_its_cell() -> None:
    made = table(("a", "b"), [(text, "1") for text in HOSTILE], numbers=(1,))
    lines = made.splitlines()
    assert len(lines) == 2 + len(HOSTILE)
    assert lines[1] == "|---|--:|"
    for line in lines[2:]:
        assert len(re.findall(r"(?<!\\)\|", line)) == 3
        assert not re.search(r"<(?!!-- -->)", line)


def test_hostile_studies_are_summed_up_without_markup(hostile: Path, tmp_path: Path) -> None:
    export_results(hostile, tmp_path)
    for name in ("summary.md", "model-card.md"):
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert not re.search(r"<(?!!-- -->)", text)
        assert not re.search(r"(?<!\\)\[", text)
        assert "\x1b" not in text
    assert all(path.resolve().is_relative_to(tmp_path) for path in tmp_path.rglob("*"))


def test_nothing_that_was_said_is_in_a_default_export(results: Path, exported: Path) -> None:
    everything = "\n".join(
        path.read_text(encoding="utf-8") for path in exported.rglob("*") if path.suffix in (".csv", ".md", ".svg")
    )
    for row in read_answers(results / "answers").to_pylist()[:200]:
        assert row["prompt"] not in everything
        assert row["answer"] not in everything


def test_names_of_files_are_plain_and_never_the_same() -> None:
    names = FileNames()
    found = [names.of(name) for name in ("A/b", "../a b", "", "..", "x" * 300, "a-b")]
    assert found == ["a-b", "a-b-2", "unnamed", "unnamed-2", "x" * 80, "a-b-3"]


def test_the_command_exports_beside_the_report(results: Path, tmp_path: Path) -> None:
    words = ["report", str(results), "--output", str(tmp_path / "page.html"), "--export", str(tmp_path / "out")]
    run = CliRunner().invoke(app, words)
    assert run.exit_code == 0
    assert run.stdout.splitlines()[-1].endswith(f"files in {tmp_path / 'out'}")
    assert (tmp_path / "out" / "summary.md").is_file()


@pytest.mark.parametrize(
    ("options", "message"), [({"inspect": True, "shareable": True}, "choose one")]
)  # fmt: skip
def test_contradictions_are_errors(results: Path, tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(StudyError, match=message):
        upbringing.export_results(results, tmp_path / "out", **options)
    run = CliRunner().invoke(app, ["report", str(results), "--output", str(tmp_path / "page.html"), "--png"])
    assert isinstance(run.exception, StudyError)
    assert not (tmp_path / "page.html").exists()
    with pytest.raises(FormatError, match=r"no tree\.json"):
        upbringing.export_results(tmp_path, tmp_path / "out")
