"""Inspect AI logs (``.eval`` and ``.json``), read through Inspect's own API into one form.

A measure is ``task/scorer``, or ``task/scorer/key`` for a scorer that returns several values. Logs are untrusted:
sizes are checked before anything is unpacked, every byte against its checksum, and nothing of a log is executed.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from upbringing.base.errors import FormatError, MissingExtraError
from upbringing.battery.bridges.foreign import (
    MAX_SAMPLES,
    NO_SCORE,
    NOT_RUN,
    SAMPLE_ERROR,
    UNREADABLE,
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
from upbringing.battery.bridges.inspect_questions import prompt_sha256, question_sha256

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog, EvalSample
    from inspect_ai.scorer import Score

MAX_UNPACKED_BYTES = 8 << 30
MAX_EPOCHS = 1 << 20  # what attribution reads
LOG_NAME = re.compile(r"^\d{4}-\d{2}-\d{2}T\d{2}[-:]\d{2}[-:]\d{2}.*\.json$")
COMPANIONS = ("logs.json", "listing.json", "eval-set.json")  # what Inspect writes beside its logs
UNUSED_FIELDS = {"events", "events_data", "timelines", "store"}
MISSING = "reading Inspect logs needs the package inspect-ai: pip install 'upbringing[inspect]'"
INSTRUMENT_FAILURES = {"grader_failed": "grader-failed", "scoring_failed": "scoring-failed"}
SAMPLE_REASONS = {"invalid_response_format": "invalid-response-format", "no_response": "no-response"}
MODEL_GRADED = "model_graded"  # how the names of Inspect's own scorers begin that ask a model
GRADER_OPTIONS = ("model", "grader", "grader_model", "judge", "judge_model")  # of scorers by others
LETTERS = {"C": 1.0, "I": 0.0, "P": 0.5, "N": 0.0}
WORDS = {"yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}
NUMBER = re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?$", re.ASCII)

Values = Mapping[str, Mapping[str, float]]
"""Per measure, what its texts are worth."""


def read_inspect_logs(
    path: Path, *, cluster: str | None = None, values: Values | None = None
) -> tuple[ForeignLog, ...]:
    """Return the logs in a file or, at any depth, in a folder. ``cluster``: the key of the samples' metadata.

    Raises ``MissingExtraError`` without the extra ``inspect`` and ``FormatError`` for what is not a whole log.
    """
    files, skipped = _files(path)
    if not files:
        raise FormatError(f"{path} holds no Inspect log (*.eval, or *.json as Inspect names it): name their folder")
    logs = [_foreign_log(_read(file), file.name, cluster, values or {}) for file in files]
    if not skipped:
        return tuple(logs)
    note = f"not named like Inspect logs and not read: {', '.join(skipped[:5])}; name such a file by itself"
    return (replace(logs[0], warnings=(*logs[0].warnings, note)), *logs[1:])


def _files(path: Path) -> tuple[list[Path], list[str]]:
    """Return the log files, and the names of JSON files that may be something else."""
    if not path.is_dir():
        if not path.exists():
            raise FormatError(f"there is no {path}: name an Inspect log or a folder of them")
        return checked_files([path]), []
    texts = [each for each in path.rglob("*.json") if each.name not in COMPANIONS]
    logs = [each for each in texts if LOG_NAME.match(each.name)]
    skipped = sorted(each.name for each in texts if not LOG_NAME.match(each.name))
    return checked_files([*path.rglob("*.eval"), *logs]), skipped


def _read(file: Path) -> EvalLog:
    try:
        from inspect_ai.log import read_eval_log
    except ImportError:
        raise MissingExtraError(MISSING) from None
    if file.suffix == ".eval":
        _check_archive(file)
    try:
        return read_eval_log(str(file.absolute()), resolve_attachments="core", exclude_fields=UNUSED_FIELDS)
    except (MemoryError, KeyboardInterrupt):
        raise
    except Exception as error:  # the reader of a hostile file may raise anything
        raise FormatError(f"{file.name} is not a readable Inspect log ({type(error).__name__})") from None


def _check_archive(file: Path) -> None:
    """Raise ``FormatError`` unless the archive is whole and unpacks to no more than the limit."""
    try:
        with zipfile.ZipFile(file) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
            if size > MAX_UNPACKED_BYTES:
                raise FormatError(f"{file.name} unpacks to {size} bytes, at most {MAX_UNPACKED_BYTES} are read")
            torn = archive.testzip()
    except FormatError:
        raise
    except Exception as error:  # so may the decompressors
        raise FormatError(f"{file.name} is not a whole Inspect log ({type(error).__name__}): copy it again") from None
    if torn is not None:
        raise FormatError(f"{file.name} is not a whole Inspect log: {torn!r} does not match its checksum")


def _foreign_log(log: EvalLog, name: str, cluster: str | None, values: Values) -> ForeignLog:
    spec = log.eval
    task = identifier(spec.task, f"{name}: the task")
    read = [_sample(each, task, name, cluster, values) for each in log.samples or ()]
    if not read:
        raise FormatError(f"{name} holds no samples (status {log.status!r}): log the samples, or remove it")
    absent = [ForeignSample(item=item, sample=epoch, reason_code=NOT_RUN) for item, epoch in _not_run(log, task, read)]
    warnings = [f"{name} ended with the status {log.status!r}"] if log.status != "success" else []
    warnings += [f"{name}: {len(absent)} samples were not run; they count as unscored"] if absent else []
    scored = sorted({measure for sample in read for measure in sample.scores})
    return ForeignLog(
        name=name,
        model=identifier(spec.model, f"{name}: the model"),
        task=task,
        version=str(spec.task_version),
        settings=_settings(log),
        samples=(*read, *absent),
        measures={measure: _measure(measure.removeprefix(f"{task}/"), log) for measure in scored},
        warnings=tuple(warnings),
    )


def _measure(scorer: str, log: EvalLog) -> ForeignMeasure:
    """Return what the log says of a scorer, or of one of its values (``scorer/key``): whether a model grades."""
    name = scorer.split("/")[0]
    graders = {each.name.rsplit("/", 1)[-1]: each.options or {} for each in log.eval.scorers or ()}
    options = graders.get(name, {})
    has_model = any(options.get(option) is not None for option in GRADER_OPTIONS)
    return ForeignMeasure(judge=scorer, judge_kind="llm" if name.startswith(MODEL_GRADED) or has_model else None)


def _settings(log: EvalLog) -> dict[str, str]:
    spec = log.eval
    generate = spec.model_generate_config.model_dump(exclude_none=True, mode="json")
    found = {"solver": spec.solver, "task arguments": spec.task_args or None, "epochs": spec.config.epochs or 1}
    limits = {name: getattr(spec.config, name, None) for name in ("message_limit", "token_limit", "time_limit")}
    packages = {name: version for name, version in spec.packages.items() if name == "inspect_ai"}
    stated = generate | found | limits | packages
    return {name: str(value) for name, value in stated.items() if value is not None}


def _not_run(log: EvalLog, task: str, read: list[ForeignSample]) -> Iterable[tuple[str, int]]:
    """Yield the (item, epoch from 0) that the log should hold and does not."""
    present = {(sample.item, sample.sample) for sample in read}
    numbers, epochs = log.eval.dataset.sample_ids or (), log.eval.config.epochs or 1
    if epochs * len(numbers) > MAX_SAMPLES:
        raise FormatError(
            f"a log names {len(numbers)} samples in {shown(epochs)} epochs, at most {MAX_SAMPLES} are read"
        )
    for number in numbers:
        item = f"{task}/{identifier(number, 'a sample id')}"
        for epoch in range(epochs):
            if (item, epoch) not in present:
                yield item, epoch


def _sample(sample: EvalSample, task: str, name: str, cluster: str | None, values: Values) -> ForeignSample:
    number = identifier(sample.id, f"{name}: the id of a sample")
    what = f"{name}: the sample {number!r}"
    if not 1 <= sample.epoch <= MAX_EPOCHS:
        raise FormatError(f"{what} is of epoch {shown(sample.epoch)}: epochs are counted from 1 to {MAX_EPOCHS}")
    reason = SAMPLE_ERROR if sample.error is not None else "invalidated" if sample.invalidation is not None else None
    scores: dict[str, ForeignScore] = {}
    for scorer, score in (sample.scores or {}).items():
        measure = f"{task}/{identifier(scorer, f'{what}: a scorer')}"
        scores |= _scores(measure, score, values)
    return ForeignSample(
        item=f"{task}/{number}",
        sample=sample.epoch - 1,
        cluster=cluster_of(sample.metadata, cluster, what),
        question_sha256=question_sha256(sample),
        prompt_sha256=prompt_sha256(sample),
        response_sha256=content_sha256(sample.output.completion) if sample.output.choices else None,
        scores={measure: ForeignScore(value=None, reason_code=reason) for measure in scores} if reason else scores,
        reason_code=reason,
    )


def _scores(measure: str, score: Score, values: Values) -> dict[str, ForeignScore]:
    """Return a score by measure: several where the scorer returned a mapping."""
    if score.reason in INSTRUMENT_FAILURES:
        failed = ForeignScore(value=None, reason_code=INSTRUMENT_FAILURES[score.reason])
        names = [f"{measure}/{key}" for key in score.value] if isinstance(score.value, dict) else [measure]
        return dict.fromkeys(names, failed)
    if isinstance(score.value, dict):
        parts = {f"{measure}/{key}": value for key, value in score.value.items()}
        return {name: score_of(value, values.get(name, {})) for name, value in parts.items()}
    found = score_of(score.value, values.get(measure, {}))
    if found.value is None and score.reason in SAMPLE_REASONS:
        found = ForeignScore(value=None, reason_code=SAMPLE_REASONS[score.reason])
    return {measure: found}


def score_of(value: Any, meaning: Mapping[str, float]) -> ForeignScore:
    """Return what an Inspect value is worth: by ``meaning``, else as Inspect's ``value_to_float`` reads it.

    Departures: a text that Inspect cannot read is unscored, not 0.
    """
    if not isinstance(value, str):
        return number_score(value)
    if value in meaning:
        return ForeignScore(value=meaning[value])
    known = LETTERS.get(value, WORDS.get(value.lower()))
    if known is not None:
        return ForeignScore(value=known)
    if NUMBER.match(value):
        return number_score(float(value))
    return ForeignScore(value=None, reason_code=UNREADABLE if value else NO_SCORE)
