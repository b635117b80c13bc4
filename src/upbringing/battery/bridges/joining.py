"""Logs of several models become rows: who answered what, and whatever does not fit together is said."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from upbringing.base.errors import FormatError
from upbringing.battery.bridges.foreign import NO_SCORE, ForeignLog, ForeignMeasure, ForeignSample, ForeignScore
from upbringing.formats.rows import NO_JUDGE, Row
from upbringing.formats.tree import ItemInfo

NUM_SHOWN = 5  # ids in one message


@dataclass(frozen=True)
class Joined:
    """``rows`` name models as checkpoints. ``measures`` as the logs describe them; ``versions`` by measure."""

    rows: tuple[Row, ...]
    items: tuple[ItemInfo, ...]
    measures: Mapping[str, ForeignMeasure]
    versions: Mapping[str, str]
    warnings: tuple[str, ...]


Key = tuple[str, int]  # item, sample
Run = tuple[str, str]  # model, task


def joined(logs: Sequence[ForeignLog], *, may_prompts_differ: bool = False) -> Joined:
    """Return the rows of ``logs``, one per model, measure, item and sample, scored or not.

    Raises ``FormatError`` for samples that stand twice, logs of one model and task that disagree, and models that
    were asked other questions (or, unless ``may_prompts_differ``, other text) under the same id.
    """
    runs: dict[Run, dict[Key, ForeignSample]] = {}
    warnings = [warning for log in logs for warning in log.warnings]
    for log in logs:
        warnings += _added(runs.setdefault((log.model, log.task), {}), log)
    warnings += _compare_questions(runs, may_prompts_differ=may_prompts_differ)
    warnings += _compare_settings(logs)
    measures = {name: found for log in logs for name, found in log.measures.items()}
    own = _measures_of_runs(logs)
    rows = [row for run, samples in runs.items() for row in _rows(run, samples, own[run], measures)]
    warnings += _compare_sets(rows, {log.model for log in logs})
    return Joined(
        rows=tuple(rows),
        items=tuple(_items(runs)),
        measures=measures,
        versions={name: log.version for log in logs for name in log.measures},
        warnings=tuple(dict.fromkeys(warnings)),
    )


def _added(samples: dict[Key, ForeignSample], log: ForeignLog) -> list[str]:
    """Add a log's samples to what earlier logs of the same model and task hold."""
    before, num_same = set(samples), 0
    for sample in log.samples:
        key = (sample.item, sample.sample)
        if key not in samples:
            samples[key] = sample
        elif key not in before:
            raise FormatError(f"{log.name}: the sample {sample.item!r} (epoch {sample.sample + 1}) stands twice in it")
        elif samples[key] != sample:
            raise FormatError(
                f"{log.name} and another log of {log.model!r} on {log.task!r} disagree about {sample.item!r} "
                f"(epoch {sample.sample + 1}): keep the log that counts, remove the other"
            )
        else:
            num_same += 1
    if not num_same:
        return []
    return [f"{log.name}: {num_same} samples also stand, equal, in another log of {log.model!r}; they count once"]


def _measures_of_runs(logs: Sequence[ForeignLog]) -> dict[Run, list[str]]:
    """Return the measures of each run; a run of which nothing was scored has those of the task."""
    own: dict[Run, set[str]] = {}
    of_task: dict[str, set[str]] = {}
    for log in logs:
        own.setdefault((log.model, log.task), set()).update(log.measures)
        of_task.setdefault(log.task, set()).update(log.measures)
    for task, names in of_task.items():
        if not names:
            raise FormatError(f"no sample of the task {task!r} carries a score: score the logs first")
    return {(model, task): sorted(names or of_task[task]) for (model, task), names in own.items()}


def _rows(
    run: Run, samples: Mapping[Key, ForeignSample], names: Sequence[str], measures: Mapping[str, ForeignMeasure]
) -> Iterable[Row]:
    for sample in samples.values():
        absent = ForeignScore(value=None, reason_code=sample.reason_code or NO_SCORE)
        for name in names:
            score = sample.scores.get(name, absent)
            yield Row(
                checkpoint=run[0],
                measure=name,
                item=sample.item,
                sample=sample.sample,
                judge=measures[name].judge or NO_JUDGE,
                judge_kind=measures[name].judge_kind,
                value=score.value,
                weight=score.weight,
                status="scored" if score.value is not None else "unscored",
                reason_code=score.reason_code,
                response_sha256=sample.response_sha256,
            )


def _items(runs: Mapping[Run, Mapping[Key, ForeignSample]]) -> Iterable[ItemInfo]:
    clusters: dict[str, str | None] = {}
    for (model, _), samples in runs.items():
        for sample in samples.values():
            before = clusters.get(sample.item)
            if before is not None and sample.cluster is not None and before != sample.cluster:
                raise FormatError(
                    f"the sample {sample.item!r} of {model!r} is of the cluster {sample.cluster!r}, elsewhere of "
                    f"{before!r}: give it one"
                )
            clusters[sample.item] = before or sample.cluster
    return [ItemInfo(id=item, cluster=clusters[item] or item) for item in sorted(clusters)]


def _compare_questions(runs: Mapping[Run, Mapping[Key, ForeignSample]], *, may_prompts_differ: bool) -> list[str]:
    questions: dict[str, set[str]] = {}
    prompts: dict[Key, set[str]] = {}
    for samples in runs.values():
        for key, sample in samples.items():
            questions.setdefault(sample.item, set()).update({sample.question_sha256} - {None})  # type: ignore[arg-type]
            prompts.setdefault(key, set()).update({sample.prompt_sha256} - {None})  # type: ignore[arg-type]
    other = sorted(item for item, hashes in questions.items() if len(hashes) > 1)
    if other:
        raise FormatError(f"the models were not asked the same questions under the same ids: {_listed(other)}")
    text = sorted({key[0] for key, hashes in prompts.items() if len(hashes) > 1})
    if text and not may_prompts_differ:
        raise FormatError(
            f"the models were asked different text under the same ids: {_listed(text)}; ask all the same, or declare "
            "'prompts: may-differ' in the tree (chat templates, for example)"
        )
    return [f"the models were asked different text under the same ids: {_listed(text)}"] if text else []


def _compare_settings(logs: Sequence[ForeignLog]) -> list[str]:
    """Return for each task which settings differ between its logs."""
    found = []
    for task in dict.fromkeys(log.task for log in logs):
        settings = [{"task version": log.version, **log.settings} for log in logs if log.task == task]
        names = sorted({name for each in settings for name in each})
        differing = [name for name in names if len({each.get(name) for each in settings}) > 1]
        if differing:
            found.append(f"the logs of {task!r} were not made with the same settings: {', '.join(differing)} differ")
    return found


def _compare_sets(rows: Sequence[Row], models: set[str]) -> list[str]:
    """Return for each measure whose sets of samples differ between models what is missing where."""
    keys: dict[str, dict[str, set[Key]]] = {}
    for row in rows:
        keys.setdefault(row.measure, {}).setdefault(row.checkpoint, set()).add((row.item, row.sample))
    found = []
    for measure, of_models in keys.items():
        union = set().union(*of_models.values())
        for model in sorted(models):
            missing = sorted({item for item, _ in union - of_models.get(model, set())})
            if missing:
                found.append(f"{measure}: {model!r} lacks {len(missing)} samples that others have: {_listed(missing)}")
    return found


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - NUM_SHOWN} more" if len(names) > NUM_SHOWN else ""
    return f"{', '.join(names[:NUM_SHOWN])}{more}"
