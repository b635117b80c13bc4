"""A judge behind an endpoint inside a study: asked by the parent, paid for once, and never a number when it fails."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from upbringing.base.errors import EndpointError, StudyError, UntrustedError
from upbringing.cli import app
from upbringing.formats.answers import read_answers
from upbringing.formats.findings import read_findings
from upbringing.formats.tree import read_tree
from upbringing.lab.building.executor import Job
from upbringing.lab.run import Watch, run
from upbringing.lab.session import Session, open_session

pytestmark = [pytest.mark.model, pytest.mark.timeout(300)]

KEY = "sk-live-judge-0123456789-secret"
KEY_VARIABLE = "UPBRINGING_TEST_JUDGE_KEY"
STUDY = """\
name: judged
question: What do two judges say?
seeds: 1
start: {{kind: existing, checkpoint: {folder}/base}}
data: {{prompts: {{kind: items, path: {folder}/prompts.jsonl}}}}
stages: {{tuned: {{kind: existing, checkpoint: {folder}/tuned}}}}
battery:
  - {{kind: attack_success, decoding: {{kind: greedy, max_tokens: 6}}}}
  - {{kind: over_refusal, decoding: {{kind: greedy, max_tokens: 6}}}}
judges: [{judges}]
primary: [attack_success]
margins: {{attack_success: 0.1}}
"""
JUDGE = (
    "{{kind: llm_judge, endpoint: {{base_url: {url}, model: judge, key_variable: UPBRINGING_TEST_JUDGE_KEY, "
    "timeout_seconds: 1{more}}}}}"
)
NUM_ITEMS, NUM_CHECKPOINTS = 16, 2


def opened(folder: Path, store: Path, url: str, *, more: str = "", rules: bool = True) -> Session:
    judges = ["refusal_rules"] if rules else []
    judges += [JUDGE.format(url=url, more=more)] if url else []
    path = store.parent / f"{store.name}.yaml"
    path.write_text(STUDY.format(folder=folder, judges=", ".join(judges)), encoding="utf-8")
    return open_session(path, store=store)


def asked_word(body: dict[str, Any]) -> str:
    found = re.search(r"user: (\w+) (bab|dek)", body["messages"][1]["content"])
    assert found is not None
    return f"{found.group(1)}-{found.group(2)}"


def rows_of(session: Session, kind: str) -> list[dict[str, Any]]:
    rows = pq.read_table(session.results / "rows.parquet").to_pylist()
    return [row for row in rows if row["judge_kind"] == kind]


@pytest.fixture(scope="module")
def measured_store(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which the study was measured with the rules alone, to be copied."""
    store = tmp_path_factory.mktemp("measured") / "store"
    run(opened(tiny_folder, store, ""), Watch())
    return store


@pytest.fixture
def store(measured_store: Path, tmp_path: Path) -> Path:
    """A copy of the measured store."""
    shutil.copytree(measured_store, tmp_path / "store")
    return tmp_path / "store"


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)


def test_answers_faults_and_keys_of_a_judge_inside_a_study(
    faulty: ModuleType, tiny_folder: Path, store: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    faults = {
        "bab-bab": lambda count: faulty.Response(500, f"broken, and your key was {KEY}"),
        "bac-bab": lambda count: faulty.Response(429, "later", {"Retry-After": "0"}) if count == 0 else good,
        "bad-bab": lambda count: faulty.completion("VERDICT: perfectly-safe"),
        "baf-bab": lambda count: faulty.Response(hang=3.0),
        "bag-bab": lambda count: faulty.completion("It goes on and", "length"),
        "bah-bab": lambda count: faulty.completion(f"The key {KEY} was sent.\nVERDICT: refuse"),
    }
    good = faulty.completion("It helps.\nVERDICT: harmful")
    healthy = False

    def script(body: dict[str, Any], count: int) -> Any:
        fault = faults.get(asked_word(body))
        return fault(count) if fault is not None and not healthy else good

    with faulty.FaultyServer(script) as server:
        session = opened(tiny_folder, store, server.base_url, more=", max_attempts: 2")
        measured = session.store.keys("rows")
        run(session, Watch())
        assert set(server.authorizations) == {f"Bearer {KEY}"}
        assert session.store.keys("rows") == measured  # nothing was measured again, and no half verdict was published

        found = {(row["measure"], row["item"], row["checkpoint"]): row for row in rows_of(session, "llm")}
        rules = {(row["measure"], row["item"], row["checkpoint"]): row for row in rows_of(session, "rule")}
        assert len(found) == NUM_ITEMS * NUM_CHECKPOINTS
        assert {key: row["response"] for key, row in found.items()} == {
            key: row["response"] for key, row in rules.items()
        }
        reasons = {row["item"]: row["reason_code"] for row in found.values() if row["value"] is None}
        assert reasons == {
            "harmful-bab": "judge-endpoint-http-500",
            "harmful-bad": "judge-off-menu",
            "harmful-baf": "judge-endpoint-timeout",
            "harmful-bag": "judge-length",
        }
        assert {row["value"] for row in found.values() if row["item"] == "harmful-bac"} == {1.0}
        assert {row["value"] for row in found.values() if row["item"] == "harmful-bah"} == {0.0}
        (info,) = read_tree(session.results / "tree.json").judges
        counted = info.accounting
        assert counted["requested"] == sum(counted[name] for name in counted if name != "requested")
        assert (counted["failed"], counted["truncated"], counted["requested"]) == (4, 2, 32)
        assert info.calls == len(server.requests)
        page = (session.results / "report.html").read_text(encoding="utf-8")
        assert "was not heard on 4 of 32 answers" in page
        assert "32 requested = 26 ok + 0 refused + 2 truncated + 0 malformed + 4 failed" in page
        said = [reason for row in read_answers(session.results / "answers").to_pylist() for reason in row["reasons"]]
        assert {each["reason"] for each in said} >= {"It helps.\nVERDICT: harmful", "VERDICT: perfectly-safe"}

        healthy, before = True, len(server.requests)
        run(session, Watch())
        assert {asked_word(body) for body in server.requests[before:]} == {"bab-bab", "baf-bab"}
        again = {(row["measure"], row["item"], row["checkpoint"]): row for row in rows_of(session, "llm")}
        assert {row["item"] for row in again.values() if row["value"] is None} == {"harmful-bad", "harmful-bag"}
        assert len(session.store.keys("rows")) == len(measured) + NUM_CHECKPOINTS

        before = len(server.requests)
        bytes_before = {path.name: path.read_bytes() for path in session.results.iterdir() if path.is_file()}
        run(session, Watch())
        assert len(server.requests) == before
        assert {p.name: p.read_bytes() for p in session.results.iterdir() if p.is_file()} == bytes_before
    arguments = ["label", "draw", str(store.parent / "store.yaml"), "--store", str(store), "--per-checkpoint", "12"]
    assert "give --judge one of llm-judge" in str(CliRunner().invoke(app, arguments).exception)
    drawn = CliRunner().invoke(app, [*arguments, "--judge", "refusal-rules/2", "--raters", "1"])
    assert drawn.output.split() == [str(session.results / "labels" / "rater-1.csv")]
    printed = capfd.readouterr()
    assert KEY not in printed.out + printed.err
    assert_no_key_below(store.parent)


def assert_no_key_below(folder: Path) -> None:
    words = [KEY.encode(), base64.b64encode(KEY.encode())]
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 20
    for path in files:
        texts = [path.read_bytes()]
        if path.suffix == ".parquet":  # compressed: what it holds must be looked at as well
            texts.append(json.dumps(pq.read_table(path).to_pylist(), default=str).encode())
        assert not any(word in text for word in words for text in texts), path


def test_a_judge_that_is_down_reads_no_percentage_and_alone_it_decides_nothing(
    faulty: ModuleType, tiny_folder: Path, tmp_path: Path
) -> None:
    with faulty.FaultyServer(lambda body, count: faulty.Response(503, "down")) as server:
        session = opened(tiny_folder, tmp_path / "store", server.base_url, rules=False, more=", max_attempts: 2")
        findings, _ = run(session, Watch())
    rows = pq.read_table(session.results / "rows.parquet").to_pylist()
    assert len(rows) == NUM_ITEMS * NUM_CHECKPOINTS
    assert {(row["value"], row["outcome"], row["status"]) for row in rows} == {(None, None, "unscored")}
    assert {row["reason_code"] for row in rows} == {"judge-endpoint-http-503"}
    assert all(claim.estimate is None and claim.verdict == "not-measurable" for claim in findings.claims)
    assert all(level["estimate"] is None for level in findings.tables["levels"])


def test_a_refused_account_stops_the_run_and_what_was_paid_for_is_kept(
    faulty: ModuleType, tiny_folder: Path, store: Path
) -> None:
    refuses = True

    def script(body: dict[str, Any], count: int) -> Any:
        if refuses and len(server.requests) > 20:
            return faulty.Response(401, f"no account for {KEY}")
        return faulty.completion("VERDICT: harmless")

    with faulty.FaultyServer(script) as server:
        session = opened(tiny_folder, store, server.base_url, more=", workers: 1")
        with pytest.raises(EndpointError, match="refuses this account") as stopped:
            run(session, Watch())
        assert KEY not in str(stopped.value)
        assert rows_of(session, "llm") == []  # the results of the run before stand as they were
        refuses = False
        run(session, Watch())
        times = Counter(json.dumps(body) for body in server.requests)
        assert sorted(times.values()) == [1] * 31 + [2]  # only the refused request was made again
    assert {row["value"] for row in rows_of(session, "llm")} == {0.0}


def test_one_cap_holds_over_checkpoints_and_runs_and_a_higher_one_goes_on(
    faulty: ModuleType, tiny_folder: Path, store: Path
) -> None:
    with faulty.FaultyServer(lambda body, count: faulty.completion("VERDICT: harmless")) as server:

        def scored(cap: str) -> int:
            session = opened(tiny_folder, store, server.base_url, more=f", cap: {{{cap}}}")
            run(session, Watch())
            rows = rows_of(session, "llm")
            assert {row["reason_code"] for row in rows if row["value"] is None} <= {"judge-spend-cap"}
            return sum(row["value"] is not None for row in rows)

        assert scored("calls: 20") == 20
        assert scored("calls: 20") == 20
        assert len(server.requests) == 20
        assert scored("calls: 25") == 25
        assert scored("calls: 100") == 32
        assert len(server.requests) == 32


def test_another_question_spends_from_the_same_cap(faulty: ModuleType, tiny_folder: Path, store: Path) -> None:
    with faulty.FaultyServer(lambda body, count: faulty.completion("VERDICT: harmless")) as server:
        judge = JUDGE.format(url=server.base_url, more=", cap: {calls: 20}")

        def scored(*judges: str) -> int:
            path = store.parent / "spent.yaml"
            path.write_text(STUDY.format(folder=tiny_folder, judges=", ".join(judges)), encoding="utf-8")
            session = open_session(path, store=store)
            run(session, Watch())
            infos = read_tree(session.results / "tree.json").judges
            assert {info.calls for info in infos} == {len(server.requests)}
            return sum(row["value"] is not None for row in rows_of(session, "llm"))

        longer = judge.replace("llm_judge,", "llm_judge, max_tokens: 255,")
        revised = judge.replace("model: judge,", "model: judge, revision: second,")
        assert scored("refusal_rules", judge) == 20
        assert scored("refusal_rules", longer) == 0
        assert scored("refusal_rules", revised) == 0
        assert len(server.requests) == 20
        assert scored("refusal_rules", judge, longer.replace("calls: 20", "calls: 25")) == 25


def test_a_judge_behind_a_network_needs_a_cap(tiny_folder: Path, tmp_path: Path) -> None:
    for cap in ("", ", cap: {}", ", cap: {unlimited: false}"):
        with pytest.raises(StudyError, match=r"store\.yaml:\d+: .*cap: \{calls: 1000\}, or cap: \{unlimited: true\}"):
            opened(tiny_folder, tmp_path / "store", "https://models.example/v1", more=cap)
    for cap in (", cap: {calls: 5}", ", cap: {unlimited: true}"):
        opened(tiny_folder, tmp_path / "store", "https://models.example/v1", more=cap)
    for url in ("http://localhost:9/v1", "http://[::1]:9/v1", "http://127.0.0.2:9"):
        opened(tiny_folder, tmp_path / "store", f"'{url}'")
    with pytest.raises(StudyError, match="not unlimited"):
        opened(tiny_folder, tmp_path / "store", "http://127.0.0.1:9", more=", cap: {calls: 5, unlimited: true}")
    with pytest.raises(StudyError, match="needs a spend cap"):
        opened(tiny_folder, tmp_path / "store", "https://localhost.example/v1")


def test_a_killed_run_pays_for_no_answer_twice(faulty: ModuleType, tiny_folder: Path, store: Path) -> None:
    stuck = True

    def script(body: dict[str, Any], count: int) -> Any:
        if stuck and len(server.requests) > 12:
            return faulty.Response(hang=0.9)
        return faulty.completion("VERDICT: refuse")

    with faulty.FaultyServer(script) as server:
        session = opened(tiny_folder, store, server.base_url, more=", workers: 1, max_attempts: 50")
        command = [sys.executable, "-c", "from upbringing.cli import main; main()", "run"]
        command += [str(store.parent / "store.yaml"), "--store", str(store), "--quiet"]
        process = subprocess.Popen(command, start_new_session=True, env=dict(os.environ))
        deadline = time.monotonic() + 120
        while len(server.requests) < 13 and time.monotonic() < deadline:
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        answered = {json.dumps(body) for body in server.requests[:12]}
        assert len(answered) == 12
        stuck = False
        run(session, Watch())
        times = Counter(json.dumps(body) for body in server.requests)
        assert len(times) == 32
        assert {times[body] for body in answered} == {1}
    (info,) = read_tree(session.results / "tree.json").judges
    assert info.calls == len(server.requests)
    assert read_findings(session.results / "findings.json").claims


class Recording(Watch):
    """Remembers what was begun."""

    def __init__(self) -> None:
        self.begun: list[str] = []

    def start(self, title: str, jobs: Sequence[Job]) -> None:
        """Take note."""
        self.begun.append(title)


@pytest.mark.parametrize(
    ("more", "url", "error", "message"),
    [
        ("", "http://127.0.0.1:9/v1", StudyError, KEY_VARIABLE),
        (", cap: {usd: 1.0}", "http://127.0.0.1:9/v1", StudyError, "price"),
        (", cap: {calls: 9}", "http://169.254.169.254/v1", UntrustedError, "refused"),
        (", cap: {calls: 9}", "http://192.0.2.1/v1", UntrustedError, "not encrypted"),
        (", cap: {calls: 9}", "ftp://127.0.0.1/v1", UntrustedError, "begins with"),
    ],
)
def test_what_would_stop_the_judge_stops_the_run_before_anything_begins(
    monkeypatch: pytest.MonkeyPatch,
    tiny_folder: Path,
    tmp_path: Path,
    more: str,
    url: str,
    error: type[Exception],
    message: str,
) -> None:
    if message == KEY_VARIABLE:
        monkeypatch.delenv(KEY_VARIABLE)
    watch = Recording()
    with pytest.raises(error, match=message):
        run(opened(tiny_folder, tmp_path / "store", url, more=more), watch)
    assert watch.begun == []


def test_a_world_s_oracle_without_a_world_is_refused(tiny_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(STUDY.format(folder=tiny_folder, judges="world_oracle"), encoding="utf-8")
    watch = Recording()
    with pytest.raises(StudyError, match="'world_oracle' needs a causes_world"):
        run(open_session(path, store=tmp_path / "store"), watch)
    assert watch.begun == []


def test_two_judges_of_one_name_are_refused(tiny_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(STUDY.format(folder=tiny_folder, judges="refusal_rules, refusal_rules"), encoding="utf-8")
    with pytest.raises(StudyError, match="two judges"):
        run(open_session(path, store=tmp_path / "store"), Watch())
