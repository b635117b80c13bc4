"""Inspect logs (``.eval``) of what checkpoints answered and how it was scored: one per checkpoint and task.

The model is the checkpoint's id. A task is a condition; where its items are scored by different measures (harmful ones
and their benign twins), one task per set of measures, because in Inspect every sample of a task has all its scores. A
scorer is a measure (``measure:judge`` where several judged it). Texts are data: nothing in them is resolved or run.
"""

from __future__ import annotations

import math
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from upbringing.base.errors import FormatError, MissingExtraError
from upbringing.base.files import write_bytes_atomic
from upbringing.base.fingerprint import fingerprint
from upbringing.formats.rows import DEFAULT_CONDITION, NO_JUDGE
from upbringing.reporting.exports.names import FileNames
from upbringing.reporting.exports.timeless import without_times
from upbringing.reporting.inputs import Inputs

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog, EvalSample, EvalScore
    from inspect_ai.scorer import Score

MISSING = "writing Inspect logs needs the package inspect-ai: pip install 'upbringing[inspect]'"
CREATED = "1970-01-01T00:00:00+00:00"  # results carry no time, and the same results give the same bytes
NOT_KEPT = "(likelihoods were scored; the prompt is not kept with the answers)"
ID_CHARACTERS = 22  # of Inspect's own ids
FACTS = ("outcome", "judge_kind", "status", "reason_code", "weight", "value_low", "value_high", "censored")
# A sample's id becomes the name of an entry in the archive: nothing in it may lead out of a folder or end the name.
PLAIN_ID = re.compile(r"(?!/)(?!.*(^|/)\.{1,2}(/|$))[^\x00-\x1f\x7f\\]{1,200}", re.DOTALL)

Row = Mapping[str, Any]
Place = tuple[str, int, int]  # item, turn, sample


@dataclass(frozen=True)
class Run:
    """Everything that one checkpoint was asked in one task. ``samples``: the rows of every place."""

    checkpoint: str
    condition: str
    task: str
    samples: Mapping[Place, Sequence[Row]]
    answers: Mapping[tuple[str, int], Row]


def write_inspect_logs(inputs: Inputs, folder: Path) -> Iterator[Path]:
    """Write a log per checkpoint and task into ``folder``, yielding the path of each as it stands there.

    What has no score is NaN with a reason, as Inspect marks it. Raises ``MissingExtraError`` without the extra
    ``inspect`` and ``FormatError`` without rows.
    """
    require_inspect()
    if inputs.rows is None:
        raise FormatError("there is no rows.parquet in these results: an Inspect log needs scores")
    folder.mkdir(parents=True, exist_ok=True)
    names = FileNames()
    scorers = _scorer_names(inputs)
    for run in _runs(inputs):
        path = folder / f"{names.of(f'{run.checkpoint} {run.task}')}.eval"
        write_bytes_atomic(path, _bytes(_log(run, inputs, scorers)))
        yield path


def require_inspect() -> None:
    """Raise ``MissingExtraError`` where Inspect is not installed."""
    try:
        import inspect_ai.log  # noqa: F401
    except ImportError:
        raise MissingExtraError(MISSING) from None


def _scorer_names(inputs: Inputs) -> dict[tuple[str, str], str]:
    """Return the scorer's name of every measure and judge."""
    assert inputs.rows is not None
    names = [name for name in ("measure", "judge") if name in inputs.rows.column_names]
    pairs = {
        (row["measure"], row.get("judge") or NO_JUDGE)
        for row in inputs.rows.select(names).group_by(names).aggregate([]).to_pylist()
    }
    several = {measure for measure, _ in pairs if sum(measure == other for other, _ in pairs) > 1}
    return {(measure, judge): f"{measure}:{judge}" if measure in several else measure for measure, judge in pairs}


def _runs(inputs: Inputs) -> Iterator[Run]:
    assert inputs.rows is not None
    rows = inputs.rows.to_pylist()
    tasks = _tasks(rows)
    found: dict[tuple[str, str], dict[Place, list[Row]]] = {}
    conditions: dict[str, str] = {}
    for row in rows:
        condition = row.get("condition") or DEFAULT_CONDITION
        task = tasks[condition, row["item"]]
        conditions[task] = condition
        place = (row["item"], row.get("turn") or 0, row.get("sample") or 0)
        found.setdefault((row["checkpoint"], task), {}).setdefault(place, []).append(row)
    answers: dict[tuple[str, str], dict[tuple[str, int], Row]] = {}
    for answer in [] if inputs.answers is None else inputs.answers.to_pylist():
        key = (answer["checkpoint"], answer["condition"])
        answers.setdefault(key, {})[answer["item"], answer["sample"]] = answer
    for (checkpoint, task), samples in sorted(found.items()):
        said = answers.get((checkpoint, conditions[task]), {})
        yield Run(checkpoint, conditions[task], task, dict(sorted(samples.items())), said)


def _tasks(rows: Sequence[Row]) -> dict[tuple[str, str], str]:
    """Return the task of every condition and item: the same for all checkpoints, whichever measures each has."""
    measures: dict[tuple[str, str], set[str]] = {}
    for row in rows:
        measures.setdefault((row.get("condition") or DEFAULT_CONDITION, row["item"]), set()).add(row["measure"])
    kinds: dict[str, set[tuple[str, ...]]] = {}
    for (condition, _), names in measures.items():
        kinds.setdefault(condition, set()).add(tuple(sorted(names)))
    return {
        (condition, item): condition if len(kinds[condition]) == 1 else f"{condition} {'+'.join(sorted(names))}"
        for (condition, item), names in measures.items()
    }


def _log(run: Run, inputs: Inputs, scorers: Mapping[tuple[str, str], str]) -> EvalLog:
    from inspect_ai.log import EvalConfig, EvalDataset, EvalLog, EvalResults, EvalSpec, EvalStats

    samples = [_sample(run, place, rows, scorers) for place, rows in run.samples.items()]
    identity = fingerprint([inputs.tree.study.name, run.checkpoint, run.task])[:ID_CHARACTERS]
    ids = list(dict.fromkeys(str(sample.id) for sample in samples))
    condition = next((each for each in inputs.tree.conditions if each.id == run.condition), None)
    cells = list(dict.fromkeys(cell.name for cell in inputs.tree.cells if cell.checkpoint == run.checkpoint))
    return EvalLog(
        status="success",
        eval=EvalSpec(
            created=CREATED, task=run.task, task_id=identity, eval_id=identity, run_id=identity,
            model=run.checkpoint, dataset=EvalDataset(name=inputs.tree.study.name, samples=len(ids), sample_ids=ids),
            config=EvalConfig(epochs=max(sample.epoch for sample in samples)),
            metadata={"study": inputs.tree.study.name, "cells": cells,
                      "condition": None if condition is None else condition.model_dump(mode="json")},
        ),
        stats=EvalStats(started_at=CREATED, completed_at=CREATED),  # without both, Inspect View shows a duration of NaN
        results=EvalResults(total_samples=len(samples), completed_samples=len(samples), scores=_means(samples)),
        samples=samples,
    )  # fmt: skip


def _sample(run: Run, place: Place, rows: Sequence[Row], scorers: Mapping[tuple[str, str], str]) -> EvalSample:
    from inspect_ai.log import EvalSample
    from inspect_ai.model import ChatMessageAssistant, ChatMessageUser, ModelOutput

    item, turn, number = place
    answer = run.answers.get((item, number))
    prompt = NOT_KEPT if answer is None else answer["prompt"]
    identity = fingerprint([run.checkpoint, run.condition, *place])[:ID_CHARACTERS]
    messages: list[Any] = [ChatMessageUser(id=f"{identity}-0", content=prompt)]
    output = ModelOutput(model=run.checkpoint)
    if answer is not None:
        reply = ChatMessageAssistant(
            id=f"{identity}-1", content=answer["answer"], source="generate", model=run.checkpoint
        )
        messages.append(reply)
        stop = "max_tokens" if answer.get("finish") == "length" else "stop"
        output = ModelOutput.model_validate(
            {"model": run.checkpoint, "choices": [{"message": reply.model_dump(), "stop_reason": stop}]}
        )
    reasons = {each["judge"]: each["reason"] for each in (answer or {}).get("reasons") or ()}
    return EvalSample(
        id=_sample_id(item, turn), epoch=number + 1, input=prompt, target="", messages=messages, output=output,
        scores={scorers[row["measure"], row.get("judge") or NO_JUDGE]: _score(row, reasons) for row in rows},
        metadata={"item": item, "turn": turn, **_thought(answer)}, uuid=identity,
    )  # fmt: skip


def _sample_id(item: str, turn: int) -> str:
    plain = item if PLAIN_ID.fullmatch(item) else f"item-{fingerprint(item)[:ID_CHARACTERS]}"
    return f"{plain}#turn{turn}" if turn else plain


def _thought(answer: Row | None) -> dict[str, str]:
    return {"thought": answer["thought"]} if answer is not None and answer.get("thought") else {}


def _score(row: Row, reasons: Mapping[str, str]) -> Score:
    from inspect_ai.scorer import Score

    value, code = row["value"], row.get("reason_code")
    return Score(
        value=math.nan if value is None else value,
        reason=code.replace("-", "_") if value is None and code else None,
        explanation=reasons.get(row.get("judge") or NO_JUDGE),
        metadata={name: row[name] for name in FACTS if row.get(name) is not None},
    )


def _means(samples: Sequence[EvalSample]) -> list[EvalScore]:
    """Return the plain mean of every scorer; for ratios that of values over that of weights."""
    from inspect_ai.log import EvalMetric, EvalScore

    found: dict[str, list[tuple[float, float]]] = {}
    for sample in samples:
        for name, score in (sample.scores or {}).items():
            found.setdefault(name, []).append((float(score.value), float((score.metadata or {}).get("weight") or 1.0)))
    means = []
    for name, values in sorted(found.items()):
        known = [pair for pair in values if not math.isnan(pair[0])]
        metrics = {}
        if known:
            mean = math.fsum(value for value, _ in known) / math.fsum(weight for _, weight in known)
            metrics["mean"] = EvalMetric(name="mean", value=mean)
        means.append(
            EvalScore(
                name=name,
                scorer=name,
                scored_samples=len(known),
                unscored_samples=len(values) - len(known),
                metrics=metrics,
            )
        )
    return means


def _bytes(log: EvalLog) -> bytes:
    """Return the log as Inspect writes it, with the time of writing taken out."""
    from inspect_ai.log import write_eval_log

    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "log.eval"
        write_eval_log(log, str(path), format="eval")
        return without_times(path.read_bytes())
