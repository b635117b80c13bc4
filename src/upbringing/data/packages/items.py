"""Harmful requests of packages as items: none trained on, borrowed from AdvBench or resembling either."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from upbringing.base.errors import DataError
from upbringing.base.streams import stream
from upbringing.data.packages.pinned import package_set
from upbringing.data.packages.requests import (
    OWN_SOURCE,
    Request,
    adv_bench,
    do_not_answer,
    harmbench,
    strong_reject,
)
from upbringing.data.packages.resemblance import resembling
from upbringing.data.prompt_sets.items import request_item
from upbringing.formats.items import Item, ItemSet, Split

QUESTION = "question"  # the role of what is asked unless a study says otherwise
SELECTION_SEED = 0  # which rows are trained is the same for every study, so that test sets stay comparable


@dataclass(frozen=True)
class Exclusion:
    """A request that is not asked, and why: ``borrowed``, ``resembles-adv-bench``, ``resembles-training``."""

    request: Request
    reason: str
    like: Request | None = None


def training_rows(packages: Path, size: int) -> tuple[Request, ...]:
    """Return the ``size`` Do-Not-Answer requests that are trained on; a larger size only adds some.

    Stream: ``do_not_answer`` of seed 0. Raises ``DataError`` if there are not so many.
    """
    return _permuted(packages, size)[0]


def held_out_rows(packages: Path, size: int) -> tuple[Request, ...]:
    """Return the Do-Not-Answer requests that are not trained on and resemble none of the ``size`` that are."""
    trained, rest = _permuted(packages, size)
    like = {each.index for each in resembling([row.text for row in rest], [row.text for row in trained])}
    return tuple(row for index, row in enumerate(rest) if index not in like)


def _permuted(packages: Path, size: int) -> tuple[tuple[Request, ...], tuple[Request, ...]]:
    rows = do_not_answer(packages)
    if not 1 <= size <= len(rows):
        raise DataError(f"Do-Not-Answer has {len(rows)} requests, asked for {size}")
    order = stream(SELECTION_SEED, "do_not_answer").permutation(len(rows)).tolist()
    return tuple(rows[index] for index in order[:size]), tuple(rows[index] for index in order[size:])


def clean_requests(
    requests: Sequence[Request], packages: Path, training_size: int
) -> tuple[list[Request], list[Exclusion]]:
    """Return the requests that may be asked, and the others with reasons. ``source`` tells borrowed ones."""
    borrowed = [row for row in requests if row.source not in (None, OWN_SOURCE)]
    left = [row for row in requests if row.source in (None, OWN_SOURCE)]
    excluded = [Exclusion(row, "borrowed") for row in borrowed]
    trained = training_rows(packages, training_size)
    for reason, references in (("resembles-adv-bench", adv_bench(packages)), ("resembles-training", trained)):
        like = {
            each.index: references[each.reference]
            for each in resembling([row.text for row in left], [row.text for row in references])
        }
        excluded += [Exclusion(left[index], reason, reference) for index, reference in like.items()]
        left = [row for index, row in enumerate(left) if index not in like]
    return left, excluded


def harmful_items(name: str, packages: Path, *, training_size: int, limit: int | None, role: str = QUESTION) -> ItemSet:
    """Return the items of ``harmbench``, ``strong_reject`` (its own rows) or ``do_not_answer``.

    Do-Not-Answer gives trained and held-out rows, ``limit`` of each; the others are out of distribution.
    ``limit`` rows are drawn by the stream ``limit/<name>`` of seed 0, in the set's order; ``None`` = all. Another
    ``role`` stands in the ids, so that a set can be asked a second time for another measure.
    """
    if name == "do_not_answer":
        rows: list[tuple[Request, Split]] = [
            *((row, "trained") for row in _some(training_rows(packages, training_size), limit, f"{name}/trained")),
            *((row, "held-out-item") for row in _some(held_out_rows(packages, training_size), limit, name)),
        ]
    else:
        readers = {"harmbench": harmbench, "strong_reject": strong_reject}
        if name not in readers:
            raise DataError(f"the package set {name!r} is not asked; {', '.join((*readers, 'do_not_answer'))} are")
        clean, _ = clean_requests(readers[name](packages), packages, training_size)
        rows = [(row, "ood") for row in _some(clean, limit, name)]
    data = package_set(name)
    return ItemSet(
        name=name,
        items=tuple(_item(row, split, name, role) for row, split in rows),
        licence=data.licence,
        origin=data.origin,
    )


def _item(row: Request, split: Split, name: str, role: str) -> Item:
    identity = row.id if role == QUESTION else f"{role}/{row.id}"
    item = request_item(identity, row.text, kind="harmful", split=split, family=row.family or name)
    seen = ("sft",) if split == "trained" else ()
    return item.model_copy(update={"role": role, "cluster": row.id, "seen_in": seen})


def _some(rows: Sequence[Request], limit: int | None, name: str) -> list[Request]:
    if limit is None or limit >= len(rows):
        return list(rows)
    chosen = sorted(stream(SELECTION_SEED, "limit", name).permutation(len(rows))[:limit].tolist())
    return [rows[index] for index in chosen]
