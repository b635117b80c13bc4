"""Samples of lm-evaluation-harness: ``samples_<task>_<date>.jsonl`` with ``results_<date>.json`` beside it.

A measure is ``task/metric``, or ``task/metric/filter`` where the answer went through a named filter. Plain JSON: the
harness itself is not needed. Format read off lm-evaluation-harness 0.4.13, ``loggers/evaluation_tracker.py``.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from upbringing.base.errors import FormatError
from upbringing.battery.bridges.foreign import (
    MAX_SAMPLES,
    NO_SCORE,
    NOT_RUN,
    ForeignLog,
    ForeignMeasure,
    ForeignSample,
    ForeignScore,
    checked_files,
    cluster_of,
    content_sha256,
    identifier,
    number_score,
    shown,
)

SAMPLES_NAME = re.compile(r"^samples_(?P<task>.+)_(?P<date>\d{4}-\d{2}-\d{2}T\d{2}-\d{2}-\d{2}(\.\d+)?)\.jsonl$")
MAX_LINE_BYTES = 64 << 20
NO_FILTER = "none"
BITS_PER_BYTE = "bits_per_byte"
SETTINGS = ("fewshot_as_multiturn", "chat_template_sha", "system_instruction_sha", "lm_eval_version")

Mapping_ = Mapping[str, Any]


@dataclass(frozen=True)
class _Run:
    """A results file: who answered, and what it says of one task."""

    model: str
    version: str
    settings: dict[str, str]
    num_expected: int | None
    higher_is_better: Mapping_


def read_lm_eval_samples(folder: Path, *, cluster: str | None = None) -> tuple[ForeignLog, ...]:
    """Return the logs in ``folder``, at any depth. ``cluster``: the key of the documents to cluster by.

    Raises ``FormatError`` naming file and line for what is not in the format, torn files included.
    """
    files = checked_files(folder.rglob("samples_*.jsonl")) if folder.is_dir() else []
    if not files:
        raise FormatError(f"{folder} holds no samples_<task>_<date>.jsonl: run lm_eval with --log_samples")
    return tuple(_log(file, cluster) for file in files)


def _log(file: Path, cluster: str | None) -> ForeignLog:
    match = SAMPLES_NAME.match(file.name)
    if match is None:
        raise FormatError(
            f"{file.name} is not named samples_<task>_<date>.jsonl: restore the name that lm_eval gave it"
        )
    task = identifier(match["task"], f"{file.name}: the task")
    run = _run(file.with_name(f"results_{match['date']}.json"), task)
    measures: dict[str, ForeignMeasure] = {}
    samples: dict[int | str, ForeignSample] = {}
    filters: set[tuple[int | str, str]] = set()
    for number, line in _lines(file):
        where = f"{file.name}:{number}"
        key = (_doc_id(line, where), identifier(line.get("filter", NO_FILTER), f"{where}: the filter"))
        if key in filters:
            raise FormatError(f"{where}: the document {key[0]!r} stands twice in one log: remove one")
        filters.add(key)
        scores = _scores(line, task, key[1], run, measures, where)
        samples[key[0]] = _merged(samples.get(key[0]), _sample(line, task, cluster, scores, where), where)
    if not samples:
        raise FormatError(f"{file.name} holds no samples: run lm_eval with --log_samples again, or remove it")
    absent, warnings = _not_run(samples, run.num_expected, file.name)
    return ForeignLog(
        name=file.name,
        model=run.model,
        task=task,
        version=run.version,
        settings=run.settings,
        samples=(
            *samples.values(),
            *(ForeignSample(item=f"{task}/{each}", reason_code=NOT_RUN) for each in absent),
        ),
        measures=measures,
        warnings=warnings,
    )


def _run(file: Path, task: str) -> _Run:
    if not file.exists():
        raise FormatError(f"{file.name} is not beside its samples: it says which model answered; put it there")
    checked_files([file])
    results = _parsed(file.read_bytes(), file.name)
    settings = {name: str(results[name]) for name in SETTINGS if results.get(name) is not None}
    shots = _part(results, "n-shot", file.name).get(task)
    settings |= {"n-shot": str(shots)} if shots is not None else {}
    expected = _part(_part(results, "n-samples", file.name), task, file.name).get("effective")
    if expected is not None and (isinstance(expected, bool) or not isinstance(expected, int) or expected < 0):
        raise FormatError(f"{file.name}: the number of samples of {task!r} is {shown(expected)}, not a count")
    if expected is not None and expected > MAX_SAMPLES:
        raise FormatError(f"{file.name}: {expected} samples are expected, at most {MAX_SAMPLES} are read")
    return _Run(
        model=identifier(results.get("model_name"), f"{file.name}: model_name"),
        version=str(_part(results, "versions", file.name).get(task, "")),
        settings=settings,
        num_expected=expected,
        higher_is_better=_part(_part(results, "higher_is_better", file.name), task, file.name),
    )


def _part(mapping: Mapping_, key: str, name: str) -> Mapping_:
    found = mapping.get(key)
    if found is not None and not isinstance(found, dict):
        raise FormatError(f"{name}: {key!r} must be a mapping, found {shown(found)}")
    return found or {}


def _lines(file: Path) -> Iterator[tuple[int, Mapping_]]:
    with file.open("rb") as handle:
        number = 0
        while line := handle.readline(MAX_LINE_BYTES + 1):
            number += 1
            if len(line) > MAX_LINE_BYTES:
                raise FormatError(f"{file.name}:{number} is longer than {MAX_LINE_BYTES} bytes")
            if not line.endswith(b"\n"):
                raise FormatError(f"{file.name}:{number} is torn: its last line does not end; copy the file again")
            yield number, _parsed(line, f"{file.name}:{number}")


def _parsed(data: bytes, where: str) -> Mapping_:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{where} is torn or not JSON ({type(error).__name__}): copy the file again") from None
    if not isinstance(value, dict):
        raise FormatError(f"{where} must be a mapping, found {shown(value)}")
    return value


def _doc_id(line: Mapping_, where: str) -> int | str:
    if "doc_id" not in line:
        raise FormatError(f"{where} has no 'doc_id': without it answers of two models cannot be paired")
    found: int | str = line["doc_id"]
    identifier(found, f"{where}: doc_id")
    return found


def _sample(
    line: Mapping_, task: str, cluster: str | None, scores: dict[str, ForeignScore], where: str
) -> ForeignSample:
    doc = line.get("doc")
    number = line["doc_id"]
    return ForeignSample(
        item=f"{task}/{number}",
        cluster=cluster_of(doc if isinstance(doc, dict) else {}, cluster, f"{where}: the document {number!r}"),
        question_sha256=content_sha256([line.get("doc_hash", doc), line.get("target_hash", line.get("target"))]),
        prompt_sha256=_prompt_sha256(line),
        response_sha256=content_sha256(line["resps"]) if "resps" in line else None,
        scores=scores,
    )


def _prompt_sha256(line: Mapping_) -> str | None:
    """Return the hash of all text that the model was given: prompts, and continuations to be scored."""
    requests = line.get("arguments")
    if not isinstance(requests, dict):
        return content_sha256(line["prompt_hash"]) if "prompt_hash" in line else None
    texts = [
        sorted((key, text) for key, text in request.items() if isinstance(text, str))
        for _, request in sorted(requests.items())
        if isinstance(request, dict)
    ]
    return content_sha256(texts)


def _merged(before: ForeignSample | None, sample: ForeignSample, where: str) -> ForeignSample:
    """Return one sample for the lines of one document, which differ by their filter only."""
    if before is None:
        return sample
    if before.question_sha256 != sample.question_sha256 or before.prompt_sha256 != sample.prompt_sha256:
        raise FormatError(f"{where}: the item {sample.item!r} was another question before: doc_id must be unique")
    return replace(sample, scores={**before.scores, **sample.scores})


def _scores(
    line: Mapping_, task: str, filtered: str, run: _Run, measures: dict[str, ForeignMeasure], where: str
) -> dict[str, ForeignScore]:
    """Return the scores of a line by measure, and note the measures in ``measures``."""
    names = line.get("metrics")
    if not isinstance(names, list):
        raise FormatError(f"{where} does not list its 'metrics': log the samples with a newer lm-evaluation-harness")
    scores = {}
    for name in names:
        metric = identifier(name, f"{where}: a metric")
        measure = f"{task}/{metric}" if filtered == NO_FILTER else f"{task}/{metric}/{filtered}"
        better = run.higher_is_better.get(metric)
        measures[measure] = ForeignMeasure(
            higher_is_better=better if isinstance(better, bool) else None, is_bits_per_byte=metric == BITS_PER_BYTE
        )
        if metric not in line:
            scores[measure] = ForeignScore(value=None, reason_code=NO_SCORE)
        else:
            scores[measure] = _bits(line[metric]) if metric == BITS_PER_BYTE else number_score(line[metric])
    return scores


def _bits(value: Any) -> ForeignScore:
    """Return bits and bytes from the harness's pair of log-likelihood (nats) and bytes."""
    if not isinstance(value, list) or len(value) != 2:
        return number_score([])
    likelihood, size = (number_score(part).value for part in value)
    if likelihood is None or size is None or size <= 0:
        return number_score(math.nan)
    return ForeignScore(value=-likelihood / math.log(2), weight=size)


def _not_run(
    samples: Mapping[int | str, ForeignSample], expected: int | None, name: str
) -> tuple[list[int], tuple[str, ...]]:
    """Return the documents that should be there and are not, as far as their numbers can be told."""
    if expected is None or len(samples) >= expected:
        return [], ()
    missing = expected - len(samples)
    if all(isinstance(key, int) and 0 <= key < expected for key in samples):
        note = f"{name}: {missing} samples were not run; they count as unscored"
        return [number for number in range(expected) if number not in samples], (note,)
    return [], (f"{name}: {missing} of {expected} samples are missing and cannot be named",)
