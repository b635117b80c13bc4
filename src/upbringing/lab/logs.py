"""Logs of other harnesses become a results folder: ``rows.parquet`` and ``tree.json``, ready to be attributed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from upbringing.attribution.evidence.defaults import default_contrasts
from upbringing.attribution.evidence.design import design_of
from upbringing.base.errors import FormatError, StudyError
from upbringing.base.files import write_bytes_atomic
from upbringing.base.nearest import did_you_mean
from upbringing.battery.bridges.foreign import ForeignLog, ForeignMeasure
from upbringing.battery.bridges.inspect_logs import read_inspect_logs
from upbringing.battery.bridges.joining import Joined, joined
from upbringing.battery.bridges.lm_eval_samples import read_lm_eval_samples
from upbringing.formats.rows import DEFAULT_CONDITION, Row, rows_table, write_rows
from upbringing.formats.tree import ConditionInfo, ContrastSpec, MeasureInfo, Tree, read_tree
from upbringing.lab.declared_tree import DeclaredTree, load_declared_tree, tree_of

BITS_UNIT = "bits per byte"
IMPORTED = "imported_from"  # the field of tree.json that names the logs; a folder that has it may be written again


@dataclass(frozen=True)
class ImportedLogs:
    """The results folder that was written, and what did not fit together in the logs."""

    folder: Path
    warnings: tuple[str, ...]


def results_folder(
    folder: Path | None,
    *,
    tree: Path | None = None,
    inspect: Path | None = None,
    lm_eval: Path | None = None,
    output: Path | None = None,
) -> ImportedLogs:
    """Return the folder to attribute: ``folder`` as it is, or the one that ``import_logs`` writes from logs."""
    has_logs = inspect is not None or lm_eval is not None
    if folder is not None:
        if has_logs or tree is not None or output is not None:
            raise StudyError("name a results folder, or logs with --tree and --output, not both")
        return ImportedLogs(folder, ())
    if not has_logs:
        raise StudyError("name a results folder, or logs: --inspect LOGS --tree tree.yaml, --lm-eval FOLDER --tree ...")
    if tree is None:
        raise StudyError("logs need --tree tree.yaml, which says what their models are (docs/formats.md)")
    return import_logs(tree, inspect=inspect, lm_eval=lm_eval, output=output)


def import_logs(
    tree: Path | str | DeclaredTree,
    *,
    inspect: Path | str | None = None,
    lm_eval: Path | str | None = None,
    output: Path | str | None = None,
) -> ImportedLogs:
    """Write ``rows.parquet`` and ``tree.json`` for Inspect logs and lm-evaluation-harness samples.

    ``tree``: what the models are. ``output``: absent = ``<name of the tree>-results`` in the current folder. Raises
    ``StudyError`` for a tree that does not fit the logs and ``FormatError`` for logs that are torn or disagree.
    """
    declared = tree if isinstance(tree, DeclaredTree) else load_declared_tree(Path(tree))
    planned = tree_of(declared)
    logs = _read(declared, inspect, lm_eval)
    named, absent = _named(logs, declared)
    found = joined(named, may_prompts_differ=declared.prompts == "may-differ")
    rows, measures = _with_judges(found, declared)
    _check_measures(declared, measures)
    folder = _folder(Path(output or f"{declared.name}-results"), declared.name)
    complete = planned.model_copy(
        update={
            "measures": tuple(_infos(rows, measures, found, declared)),
            "conditions": (ConditionInfo(id=DEFAULT_CONDITION),),
            "items": found.items,
            "warnings": (*absent, *found.warnings),
            IMPORTED: [_provenance(log) for log in named],
        }
    )
    complete = _with_derived_contrasts(complete, sorted(measures))
    write_rows(rows_table(rows), folder / "rows.parquet")
    write_bytes_atomic(folder / "tree.json", complete.model_dump_json(indent=1).encode("utf-8"))
    return ImportedLogs(folder, complete.warnings)


def _read(declared: DeclaredTree, inspect: Path | str | None, lm_eval: Path | str | None) -> tuple[ForeignLog, ...]:
    logs: tuple[ForeignLog, ...] = ()
    if inspect is not None:
        logs += read_inspect_logs(Path(inspect), cluster=declared.cluster, values=declared.values)
    if lm_eval is not None:
        logs += read_lm_eval_samples(Path(lm_eval), cluster=declared.cluster)
    if not logs:
        raise StudyError("no logs were named: give Inspect logs, lm-evaluation-harness samples or both")
    return logs


def _named(logs: Sequence[ForeignLog], declared: DeclaredTree) -> tuple[list[ForeignLog], list[str]]:
    """Return the logs under their checkpoints' ids, and a warning for every checkpoint without a log."""
    names = declared.checkpoint_of_model()
    for log in logs:
        if log.model not in names:
            hint = did_you_mean(log.model, names, before="; ")
            raise StudyError(
                f"{log.name} is of the model {log.model!r}, which the tree does not declare "
                f"(models: {', '.join(names)}){hint}: add it to 'checkpoints', or remove the log"
            )
    logged = {log.model for log in logs}
    absent = [f"the checkpoint {name!r} has no log" for model, name in names.items() if model not in logged]
    return [replace(log, model=names[log.model]) for log in logs], absent


def _provenance(log: ForeignLog) -> dict[str, object]:
    return {
        "log": log.name,
        "checkpoint": log.model,
        "task": log.task,
        "version": log.version,
        "settings": dict(log.settings),
    }


def _with_judges(found: Joined, declared: DeclaredTree) -> tuple[list[Row], dict[str, ForeignMeasure]]:
    """Return rows and measures with the measures that score one property as judges of one measure."""
    judged = {source: (measure, kind) for measure, of in declared.judges.items() for source, kind in of.items()}
    for measure, sources in declared.judges.items():
        absent = [source for source in sources if source not in found.measures]
        if absent:
            raise StudyError(_no_measure(f"'judges' of {measure!r}", absent[0], found.measures))
        if measure in found.measures and measure not in judged:
            raise StudyError(f"'judges' names the measure {measure!r}, which the logs hold already: use another name")
    if len(judged) != sum(len(sources) for sources in declared.judges.values()):
        raise StudyError("'judges' uses one measure of the logs twice: a scorer judges one property")
    rows = [
        replace(row, measure=judged[row.measure][0], judge=row.measure, judge_kind=judged[row.measure][1])
        if row.measure in judged
        else row
        for row in found.rows
    ]
    measures = {name: info for name, info in found.measures.items() if name not in judged}
    return rows, measures | {measure: found.measures[next(iter(of))] for measure, of in declared.judges.items()}


def _check_measures(declared: DeclaredTree, measures: Mapping[str, ForeignMeasure]) -> None:
    asked = [("primary", name) for name in declared.primary]
    asked += [("margins", name) for name in declared.margins]
    asked += [("ratio_margins", name) for name in declared.ratio_margins]
    asked += [("measures", name) for name in declared.measures]
    asked += [(f"the contrast {each.name!r}", each.measure) for each in declared.contrasts]
    for where, name in asked:
        if name not in measures:
            raise StudyError(_no_measure(where, name, measures))


def _no_measure(where: str, name: str, measures: Iterable[str]) -> str:
    return f"{where}: the logs hold no measure {name!r} (found: {', '.join(sorted(measures))})"


def _infos(
    rows: Sequence[Row], measures: Mapping[str, ForeignMeasure], found: Joined, declared: DeclaredTree
) -> Iterable[MeasureInfo]:
    scores = {row.measure for row in rows if row.value is not None and not 0 <= row.value <= 1}
    for name, info in sorted(measures.items()):
        said = declared.measures.get(name)
        better = {True: "higher-is-better", False: "lower-is-better", None: "neutral"}[info.higher_is_better]
        unit = BITS_UNIT if info.is_bits_per_byte else "score" if name in scores else "share"
        yield MeasureInfo.model_validate(
            {
                "id": name,
                "version": found.versions.get(name, "1"),
                "unit": said.unit if said is not None and said.unit else unit,
                "direction": said.direction if said is not None and said.direction else better,
                "estimator": "ratio" if info.is_bits_per_byte else "mean",
                "label": said.label if said is not None else None,
            }
        )


def _with_derived_contrasts(tree: Tree, measures: Sequence[str]) -> Tree:
    """Return ``tree`` with what its design supports after what was declared; nothing declared = all is derived later.

    As in a study: where contrasts are declared, the others are exploratory.
    """
    declared = tree.study.contrasts
    if not declared:
        return tree
    known = {(frozenset(spec.weights.items()), spec.measure) for spec in declared}
    derived: list[ContrastSpec] = [
        spec.model_copy(update={"role": "exploratory"})
        for spec in default_contrasts(design_of(tree), tree.study, measures)
        if (frozenset(spec.weights.items()), spec.measure) not in known
    ]
    return tree.model_copy(update={"study": tree.study.model_copy(update={"contrasts": (*declared, *derived)})})


def _folder(folder: Path, name: str) -> Path:
    """Return the results folder, made if need be; one that holds anything but an earlier import is refused."""
    if folder.is_dir() and (folder / "rows.parquet").exists():
        try:
            extra = read_tree(folder / "tree.json").model_extra or {}
        except (OSError, FormatError):
            extra = {}
        if IMPORTED not in extra:
            raise StudyError(f"{folder} holds rows that were not imported from logs: name another folder for {name!r}")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
