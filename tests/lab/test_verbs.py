"""Every verb is a command and a function of one name; machine-readable output is JSON and nothing else."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner

import upbringing
from upbringing.base.errors import StudyError
from upbringing.cli import app
from upbringing.formats.findings import read_findings
from upbringing.formats.tree import read_tree
from upbringing.lab.session import Session

# Verbs in groups say with two words what the function says as verb and object.
GROUPED = {
    "add-tokens": "add_tokens",
    "data audit draw": "draw_audit",
    "data audit read": "read_audit",
    "data check": "check_data",
    "data fetch": "fetch_packages",
    "data report-card": "report_card",
    "data score": "score_file",
    "data threshold-report": "threshold_report",
    "data train-classifier": "train_classifier",
    "data transform": "transform_corpus",
    "label draw": "draw_labels",
    "label rate": "rate_labels",
    "label read": "read_labelled",
}

STUDY = """\
name: verbs
seeds: 1
start: {{kind: existing, checkpoint: {folder}/base}}
data: {{prompts: {{kind: items, path: {folder}/prompts.jsonl}}}}
stages: {{tuned: {{kind: existing, checkpoint: {folder}/tuned}}}}
battery: [{{kind: non_refusal, decoding: {{kind: greedy, max_tokens: 4}}}}]
judges: [refusal_rules]
primary: [non_refusal]
"""


def commands(command: Any, name: str = "") -> Iterator[str]:
    """Every command below ``command`` by its words."""
    if not hasattr(command, "commands"):
        yield name
        return
    for word, each in command.commands.items():
        yield from commands(each, f"{name} {word}".strip())


VERBS = sorted(commands(typer.main.get_command(app)))


def test_the_walk_finds_the_verbs() -> None:
    assert {"plan", "build", "measure", "attribute", "report", "run", "trace", "demo", "schema", "label draw"} <= set(
        VERBS
    )
    assert set(GROUPED) <= set(VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_is_a_public_function_of_its_name(verb: str) -> None:
    name = GROUPED.get(verb, verb)
    assert name in upbringing.__all__
    code = f"import upbringing, upbringing.cli\nimport upbringing.lab.run\nassert callable(upbringing.{name})"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("verb", ["plan", "build", "measure", "run", "trace", "demo"])
def test_a_verb_needs_nothing_but_its_subject(verb: str) -> None:
    parameters = inspect.signature(getattr(upbringing, verb)).parameters.values()
    needed = [each.name for each in parameters if each.default is inspect.Parameter.empty]
    assert needed == {"trace": ["checkpoints"], "demo": []}.get(verb, ["study"])


@pytest.fixture
def study(tmp_path: Path, tiny_folder: Path) -> Path:
    path = tmp_path / "study.yaml"
    path.write_text(STUDY.format(folder=tiny_folder), encoding="utf-8")
    return path


@pytest.mark.model
def test_functions_take_a_path_a_value_or_an_open_session(
    study: Path, tiny_folder: Path, tmp_path: Path, one_process: None, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "store"
    assert upbringing.plan(str(study), store=store).num_to_build == 0
    assert not store.exists()
    assert upbringing.build(study, store=store).num_built == 0
    results = upbringing.measure(upbringing.load_study(study), store=store)
    session: Session = upbringing.open_session(study, store=store)
    findings, page = upbringing.run(session)
    assert page.parent == results == session.results
    assert upbringing.run(study, store=store) == (findings, page)
    with pytest.raises(StudyError, match="open already"):
        upbringing.run(session, seeds=2)
    named = {"base": f"{tiny_folder}/base", "tuned": f"{tiny_folder}/tuned"}
    traced, page = upbringing.trace(named, tiny_folder / "prompts.jsonl", store=store)
    assert traced.claims
    assert page.is_file()
    assert upbringing.schema()["title"] == "Study"
    assert capsys.readouterr().out == ""


@pytest.mark.model
@pytest.mark.usefixtures("one_process")
def test_what_results_warn_of_is_said_by_run_attribute_and_report(study: Path, tmp_path: Path) -> None:
    def printed(*words: str) -> tuple[str, str]:
        result = CliRunner().invoke(app, list(words), env={"COLUMNS": "1000"})
        assert result.exit_code == 0, result.output
        return result.stdout, result.stderr

    shown, _ = printed("run", str(study), "--store", str(tmp_path / "store"), "--quiet")
    results = next((tmp_path / "store" / "studies").iterdir()) / "results"
    of_tree = read_tree(results / "tree.json").warnings
    of_findings = read_findings(results / "findings.json").warnings
    assert of_tree
    assert of_findings
    expected = [f"note: {warning}" for warning in (*of_findings, *of_tree)]
    assert [line for line in shown.splitlines() if line.startswith("note:")] == expected
    assert sum("seed" in line for line in expected) == 1  # what the plan says of them is not said again
    assert [line for line in printed("attribute", str(results))[0].splitlines() if line.startswith("note:")] == expected
    path, said = printed("report", str(results))
    assert (path.split(), said.splitlines()) == ([str(results / "report.html")], expected)


@pytest.mark.model
def test_json_is_all_that_stands_on_standard_output(study: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"

    def printed(*words: str) -> dict[str, object]:
        code = "from upbringing.cli import main; main()"
        result = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
        found: dict[str, object] = json.loads(result.stdout)
        return found

    built = printed("build", str(study), "--store", str(store), "--json")
    assert (built["built"], built["present"]) == (0, 2)
    assert isinstance(built["checkpoints"], dict)
    assert set(built["checkpoints"]) == {"start", "main: tuned, seed 0"}
    results = Path(str(printed("measure", str(study), "--store", str(store), "--json")["results"]))
    assert (results / "rows.parquet").is_file()
    assert "claims" in printed("attribute", str(results), "--json")
    page = printed("report", str(results), "--json", "--shareable", "--output", str(tmp_path / "page.html"))
    assert page == {"report": str(tmp_path / "page.html")}


TAKE_TEXT = (
    "attribute", "build", "copy_study", "demo", "draw_labels", "export", "fetch_packages", "gate", "gc", "import_logs",
    "judges", "load_study", "look", "measure", "open_session", "plan", "power", "rate_labels", "read_labelled",
    "report", "run", "show", "status", "trace", "verify",
)  # fmt: skip


@pytest.mark.parametrize("name", TAKE_TEXT)
def test_a_path_may_be_text(name: str) -> None:
    for parameter in inspect.signature(getattr(upbringing, name)).parameters.values():
        kinds = str(parameter.annotation)
        assert "Path" not in kinds or "str" in kinds, f"{name}({parameter.name})"


def test_verbs_read_and_write_where_a_text_says(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(STUDY.format(folder=tmp_path), encoding="utf-8")
    assert upbringing.load_study(str(path)).name == "verbs"
    store = str(tmp_path / "store")
    upbringing.open_session(upbringing.DEMO, store=store)
    assert upbringing.status(store).studies == {}
    assert not upbringing.verify(store).damaged
    upbringing.gc(store)
    folder = tmp_path / "rows"
    folder.mkdir()
    answers = {"checkpoint": ["a", "a", "b", "b"], "parent": [None, None, "a", "a"], "item": ["1", "2", "1", "2"]}
    pq.write_table(pa.table({**answers, "measure": ["m"] * 4, "value": [0.0, 1.0, 1.0, 1.0]}), folder / "rows.parquet")
    assert len(upbringing.attribute(str(folder)).claims) == 1
    assert upbringing.report(str(folder)) == folder / "report.html"
    assert upbringing.copy_study("sft-or-rl", str(tmp_path / "mine"))[0].is_file()
