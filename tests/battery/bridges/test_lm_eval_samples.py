"""lm-evaluation-harness samples become logs: nothing dropped, nothing repaired, nothing executed."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from upbringing.base.errors import FormatError
from upbringing.battery.bridges import foreign, lm_eval_samples
from upbringing.battery.bridges.foreign import ForeignLog, ForeignScore
from upbringing.battery.bridges.lm_eval_samples import read_lm_eval_samples

Line = Callable[..., dict[str, Any]]
Write = Callable[..., Path]


def only(folder: Path, **options: Any) -> ForeignLog:
    (log,) = read_lm_eval_samples(folder, **options)
    return log


def test_a_log_says_who_answered_what(write_samples: Write, line: Line) -> None:
    log = only(write_samples("org/base", [line(0, 1.0), line(1, 0.0)]).parent)
    assert (log.model, log.task, log.version) == ("org/base", "sums", "1.0")
    assert log.settings == {"lm_eval_version": "0.4.13", "n-shot": "0"}
    assert log.measures["sums/exact_match"].higher_is_better is True
    assert [(each.item, each.scores["sums/exact_match"].value) for each in log.samples] == [
        ("sums/0", 1.0),
        ("sums/1", 0.0),
    ]


def test_every_filter_is_a_measure_of_the_same_sample(write_samples: Write, line: Line) -> None:
    lines = [line(0, 1.0, filtered="loose"), line(1, 1.0, filtered="loose")]
    lines += [line(0, 0.0, filtered="strict"), line(1, 1.0, filtered="strict")]
    log = only(write_samples("org/base", lines, expected=2).parent)
    assert len(log.samples) == 2
    assert {name: score.value for name, score in log.samples[0].scores.items()} == {
        "sums/exact_match/loose": 1.0,
        "sums/exact_match/strict": 0.0,
    }


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (math.nan, "not-a-number"),
        (math.inf, "not-a-number"),
        (10**400, "not-a-number"),
        (None, "no-score"),
        ([-55.4, 3], "not-one-number"),
        ("right", "unreadable-value"),
    ],
)
def test_what_is_no_number_is_unscored(write_samples: Write, line: Line, value: Any, reason: str) -> None:
    log = only(write_samples("org/base", [line(0, value)]).parent)
    assert log.samples[0].scores == {"sums/exact_match": ForeignScore(value=None, reason_code=reason)}


def test_a_metric_that_is_listed_and_absent_is_unscored(write_samples: Write, line: Line) -> None:
    lost = line(0, 1.0)
    del lost["exact_match"]
    log = only(write_samples("org/base", [lost]).parent)
    assert log.samples[0].scores["sums/exact_match"].reason_code == "no-score"


def test_bits_per_byte_is_a_ratio_of_bits_and_bytes(write_samples: Write, line: Line) -> None:
    scored = line(0, 1.0) | {"metrics": ["bits_per_byte"], "bits_per_byte": [-8 * math.log(2), 4]}
    unscored = line(1, 1.0) | {"metrics": ["bits_per_byte"], "bits_per_byte": [math.nan, 4]}
    log = only(write_samples("org/base", [scored, unscored]).parent)
    found = log.samples[0].scores["sums/bits_per_byte"]
    assert found.value == pytest.approx(8, abs=1e-12)
    assert found.weight == 4
    assert log.samples[1].scores["sums/bits_per_byte"] == ForeignScore(value=None, reason_code="not-a-number")


def test_samples_that_were_not_run_are_named(write_samples: Write, line: Line) -> None:
    log = only(write_samples("org/base", [line(0, 1.0), line(2, 1.0)], expected=4).parent)
    assert [each.item for each in log.samples if each.reason_code == "not-run"] == ["sums/1", "sums/3"]
    assert "2 samples were not run" in log.warnings[0]


def test_missing_samples_without_a_number_are_said(write_samples: Write, line: Line) -> None:
    log = only(write_samples("org/base", [line(70, 1.0)], expected=2).parent)
    assert len(log.samples) == 1
    assert "1 of 2 samples are missing and cannot be named" in log.warnings[0]


def test_the_cluster_is_a_key_of_the_document(write_samples: Write, line: Line) -> None:
    folder = write_samples("org/base", [line(number, 1.0) for number in range(4)]).parent
    assert [each.cluster for each in only(folder, cluster="family").samples] == ["family-0"] * 2 + ["family-1"] * 2
    with pytest.raises(FormatError, match="has no 'kind' to cluster by"):
        only(folder, cluster="kind")


def test_a_missing_id_is_an_error_that_names_the_line(write_samples: Write, line: Line) -> None:
    lost = line(1, 1.0)
    del lost["doc_id"]
    with pytest.raises(FormatError, match=r"jsonl:2 has no 'doc_id'"):
        only(write_samples("org/base", [line(0, 1.0), lost]).parent)


def test_an_id_that_stands_twice_is_an_error(write_samples: Write, line: Line) -> None:
    with pytest.raises(FormatError, match=r"jsonl:2: the document 0 stands twice"):
        only(write_samples("org/base", [line(0, 1.0), line(0, 0.0)]).parent)
    lines = [line(0, 1.0, filtered="a"), line(0, 1.0, filtered="b", question="Who is")]
    with pytest.raises(FormatError, match="was another question before"):
        only(write_samples("org/base", lines).parent)


def test_a_torn_file_is_an_error_at_every_length(write_samples: Write, line: Line) -> None:
    file = write_samples("org/base", [line(0, 1.0)])
    whole = file.read_bytes()
    for length in range(1, len(whole), 37):
        file.write_bytes(whole[:length])
        with pytest.raises(FormatError, match=r":1 is torn"):
            only(file.parent)
    file.write_bytes(whole[:-1])
    with pytest.raises(FormatError, match="its last line does not end"):
        only(file.parent)
    results = next(file.parent.glob("results_*"))
    file.write_bytes(whole)
    results.write_bytes(results.read_bytes()[:-9])
    with pytest.raises(FormatError, match="is torn or not JSON"):
        only(file.parent)


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 100_000 + b"\n",
        b"\xff\xfe\n",
        b"[]\n",
        b'{"doc_id": {}}\n',
        b'{"doc_id": true}\n',
        b'{"doc_id": ""}\n',
        b'{"doc_id": "\\ud800", "metrics": []}\n',
        b'{"doc_id": "' + b"x" * 600 + b'"}\n',
        b'{"doc_id": 0}\n',
        b'{"doc_id": 0, "metrics": [7.5]}\n',
        b'{"doc_id": 0, "filter": [], "metrics": []}\n',
        b'{"doc_id": 0, "metrics": "acc"}\n',
        b"",
    ],
)
def test_a_hostile_file_is_our_error(write_samples: Write, line: Line, content: bytes) -> None:
    file = write_samples("org/base", [line(0, 1.0)])
    file.write_bytes(content)
    with pytest.raises(FormatError):
        only(file.parent)


@pytest.mark.parametrize(
    "change",
    [
        {"model_name": None},
        {"model_name": ["a"]},
        {"n-samples": [1]},
        {"n-samples": {"sums": {"effective": -1}}},
        {"n-samples": {"sums": {"effective": 10**12}}},
        {"higher_is_better": {"sums": "yes"}},
        {"versions": 7},
    ],
)
def test_hostile_results_are_our_error(write_samples: Write, line: Line, change: dict[str, Any]) -> None:
    file = write_samples("org/base", [line(0, 1.0)])
    results = next(file.parent.glob("results_*"))
    results.write_text(json.dumps(json.loads(results.read_text()) | change))
    with pytest.raises(FormatError):
        only(file.parent)


def test_samples_need_the_results_beside_them(write_samples: Write, line: Line) -> None:
    file = write_samples("org/base", [line(0, 1.0)])
    next(file.parent.glob("results_*")).unlink()
    with pytest.raises(FormatError, match="is not beside its samples"):
        only(file.parent)


def test_sizes_and_links_are_refused(write_samples: Write, line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write_samples("org/base", [line(0, 1.0)])
    with monkeypatch.context() as patch:
        patch.setattr(lm_eval_samples, "MAX_LINE_BYTES", 100)
        with pytest.raises(FormatError, match="longer than 100 bytes"):
            only(file.parent)
    with monkeypatch.context() as patch:
        patch.setattr(foreign, "MAX_FILE_BYTES", 100)
        with pytest.raises(FormatError, match="at most 100 are read"):
            only(file.parent)
    with monkeypatch.context() as patch:
        patch.setattr(foreign, "MAX_FILES", 0)
        with pytest.raises(FormatError, match="at most 0 are read"):
            only(file.parent)
    moved = file.rename(file.with_name("elsewhere"))
    file.symlink_to(moved)
    with pytest.raises(FormatError, match="not a regular file"):
        only(file.parent)


def test_a_folder_without_samples_says_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="--log_samples"):
        read_lm_eval_samples(tmp_path)
