"""Second pass over a piece: score, route, transform and write what the first pass left."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from upbringing.base.errors import DataError
from upbringing.base.files import write_json_atomic
from upbringing.base.fingerprint import fingerprint
from upbringing.data.documents import Document
from upbringing.data.interventions.routing import Route, decided, route_of
from upbringing.data.interventions.scores import HIGHEST_SCORE, LOWEST_SCORE, HarmScore
from upbringing.data.interventions.tools import Transformed
from upbringing.data.transforms import Transform, marks_of
from upbringing.lab.corpus.accounts import Accounts
from upbringing.lab.corpus.doses import Doses, add_doses, dose_labels
from upbringing.lab.corpus.folders import Folders
from upbringing.lab.corpus.journal import Journal
from upbringing.lab.corpus.reading import BadRow, Row, rows_of
from upbringing.lab.corpus.recipe import CorpusRecipe
from upbringing.lab.corpus.resolving import Decisions, read_decisions
from upbringing.lab.corpus.seam import CorpusTools, apply_to_document
from upbringing.lab.corpus.shards import Shard, is_unchanged
from upbringing.lab.corpus.units import Unit

BATCH = 1024  # scorers that compile something for a batch do so once for many documents
UNSCORED = "unscored"
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass
class _Work:
    """One piece while it is worked on."""

    unit: Unit
    recipe: CorpusRecipe
    tools: CorpusTools
    decisions: Decisions
    shard: Shard
    journal: Journal | None
    numbers: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    scores: Counter[str] = field(default_factory=Counter)
    doses: Doses = field(default_factory=dict)
    labels: list[tuple[str, ...]] = field(default_factory=list)
    rules: dict[tuple[int, str], Route] = field(default_factory=dict)

    def rule(self, score: int, source: str) -> Route:
        """Return the rule for a score in a source, looked up once."""
        if (score, source) not in self.rules:
            self.rules[score, source] = route_of(self.recipe.route, score, source)
        return self.rules[score, source]


@dataclass(frozen=True)
class _Named:
    """A document that is left after the first pass. ``name``: its id, made distinct."""

    row: Row
    name: str
    document: Document


def write_unit(unit: Unit, recipe: CorpusRecipe, tools: CorpusTools, folders: Folders) -> Accounts:
    """Write what becomes of ``unit`` and return its account, unless that is done. The account is written last."""
    path = folders.accounts / f"{unit.number:06d}.json"
    if (known := read_account(path, folders.result)) is not None:
        return known
    tools = replace(tools, reserved=(*recipe.reserved, *marks_of(recipe.transforms())))
    journal = Journal(folders.journal / f"{unit.number:06d}.jsonl") if tools.paid else None
    decisions = read_decisions(unit, folders.decisions)
    work = _Work(unit, recipe, tools, decisions, Shard(unit, recipe), journal, labels=dose_labels(recipe.route))
    batch: list[_Named] = []
    for place, row in enumerate(_documents(work)):
        named = _left(work, row, str(place))
        if named is not None:
            batch.append(named)
        if len(batch) == BATCH:
            _settle(work, batch)
            batch = []
    _settle(work, batch)
    account = Accounts(
        **{name: work.numbers[name] for name in ("read", "kept", "rewritten", "made", "side_rejects")},
        bytes_read=unit.num_bytes,
        rejected=dict(sorted(work.rejected.items())),
        scores=dict(sorted(work.scores.items())),
        doses=dict(sorted(work.doses.items())),
        files=work.shard.write(folders.result),
    )
    plain = asdict(account)
    write_json_atomic(path, {"account": plain, "sha256": fingerprint(plain)})
    return account


def read_account(path: Path, result: Path) -> Accounts | None:
    """Return a finished piece's account; ``None`` where it is torn, or a file it names is not as long as it says."""
    try:
        content = json.loads(path.read_bytes())
        account = content["account"]
        whole = fingerprint(account) == content["sha256"] and all(
            (result / name).stat().st_size == file["bytes"] for name, file in account["files"].items()
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Accounts(**account) if whole else None


def _documents(work: _Work) -> Iterator[Row]:
    for row in rows_of(work.unit, work.recipe):
        work.numbers["read"] += 1
        if isinstance(row, BadRow):
            work.rejected[row.code] += 1
            work.shard.reject(row, None, row.code, row.reason)
        else:
            yield row


def _left(work: _Work, row: Row, place: str) -> _Named | None:
    """Return the document unless it is a duplicate, which is rejected."""
    repeat = work.decisions.repeat.get(place)
    name = row.id if repeat is None else f"{row.id}#{repeat}"
    for code, found in (("exact duplicate", work.decisions.exact), ("near duplicate", work.decisions.near)):
        if place in found:
            _reject(work, row, name, code, f"{code} of {found[place]}")
            return None
    document = Document(text=row.text, source=row.source, harm=row.score, metadata={"id": name}, spans=row.spans)
    return _Named(row, name, document)


def _reject(work: _Work, row: Row, name: str, code: str, reason: str, score: int | None = None) -> None:
    work.rejected[code] += 1
    work.shard.reject(row, name, code, reason, harm=score)


def _settle(work: _Work, batch: Sequence[_Named]) -> None:
    """Score and route a batch, in order."""
    scores = _scores(work, batch)
    chosen = [_transforms(work, named, score) for named, score in zip(batch, scores, strict=True)]
    made = _mapped(work, lambda each: _transformed(work, *each), list(zip(batch, scores, chosen, strict=True)))
    for named, score, transforms, result in zip(batch, scores, chosen, made, strict=True):
        work.scores[UNSCORED if score.score is None else str(score.score)] += 1
        if result is not None:
            assert score.score is not None
            rule = work.rule(score.score, named.row.source)
            add_doses(work.doses, work.labels[work.recipe.route.index(rule)], result.doses)
            _write_made(work, named, result)
        elif transforms == "keep":
            work.numbers["kept"] += 1
            work.shard.keep(named.row, named.name, score.score)
        elif score.score is None:
            _reject(work, named.row, named.name, UNSCORED, score.reason)
        else:
            _reject(work, named.row, named.name, "route", f"score {score.score}: {score.reason}", score.score)


def _scores(work: _Work, batch: Sequence[_Named]) -> list[HarmScore]:
    scorer = work.tools.scorer
    if scorer is None or work.recipe.columns.score is not None:
        reason = "of the score column" if work.recipe.has_scores else "nothing scores this corpus"
        found = [HarmScore(named.row.score, reason) for named in batch]
    elif work.tools.paid_scorer:
        found = _mapped(work, lambda named: _paid_score(work, named), batch)
    else:
        found = scorer.score([named.document for named in batch])
    if work.recipe.lower_bounds == "unscored":
        routes = work.recipe.route
        found = [decided(routes, score, named.row.source) for named, score in zip(batch, found, strict=True)]
    for named, score in zip(batch, found, strict=True):
        if score.score is None:
            if work.recipe.route and work.recipe.unscored == "stop":
                raise DataError(
                    f"{work.unit.file} row {named.row.number} ({named.name}) has no score: {score.reason}. Say what "
                    "happens to such documents: unscored: keep or drop"
                )
        elif not LOWEST_SCORE <= score.score <= HIGHEST_SCORE:
            raise DataError(f"the scorer gave {named.name} the score {score.score}, expected 0 to 5")
    return found


def _paid_score(work: _Work, named: _Named) -> HarmScore:
    assert work.journal is not None
    assert work.tools.scorer is not None
    known = work.journal.score(named.name)
    if known is None:
        [known] = work.tools.scorer.score([named.document])
        work.journal.note(named.name, known)
    return known


def _transforms(work: _Work, named: _Named, score: HarmScore) -> str | tuple[Transform, ...]:
    if not work.recipe.route:
        return "keep"
    if score.score is None:
        return work.recipe.unscored
    return work.rule(score.score, named.row.source).do


def _transformed(
    work: _Work, named: _Named, score: HarmScore, chosen: str | tuple[Transform, ...]
) -> Transformed | None:
    if isinstance(chosen, str):
        return None
    if work.journal is not None and (known := work.journal.transformed(named.name)) is not None:
        return known
    document = replace(named.document, harm=score.score)
    made = apply_to_document(document, named.name, chosen, work.tools, work.recipe.seed)
    if work.journal is not None:
        work.journal.note(named.name, made)
    return made


def _write_made(work: _Work, named: _Named, made: Transformed) -> None:
    if is_unchanged(made.texts, named.row):
        work.numbers["kept"] += 1
        work.shard.keep(named.row, named.name, made.texts[0].harm if isinstance(made.texts[0], Document) else None)
    elif made.texts:
        work.numbers["rewritten"] += 1
        work.numbers["made"] += len(made.texts)
        for place, text in enumerate(made.texts):
            work.shard.make(text, named.row, named.name, place)
    else:
        work.rejected["transform"] += 1
        work.numbers["side_rejects"] += max(len(made.rejects), 1) - 1
        if not made.rejects:
            work.shard.reject(
                named.row, named.name, "transform", "the transforms made nothing of it and gave no reason"
            )
    if made.texts:
        work.numbers["side_rejects"] += len(made.rejects)
    for text, reason in made.rejects:
        work.shard.reject_text(named.row, named.name, text, reason)


def _mapped(work: _Work, function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Return ``function`` of each item, in order; paid calls run beside each other, as many as the recipe allows."""
    if work.journal is None or len(items) < 2:
        return [function(item) for item in items]
    with ThreadPoolExecutor(work.recipe.concurrency) as threads:
        futures = [threads.submit(function, item) for item in items]
        try:
            return [future.result() for future in futures]
        except BaseException:
            for future in futures:
                future.cancel()
            raise
