"""Human labels of a study's own answers: a blinded sample and the sheets that raters fill in.

The sample is stratified by checkpoint, verdict and length, with known inclusion probabilities, so that rare verdicts
are seen and weights undo it. Raters see no checkpoint, no condition and no verdict. Nobody invents labels: an empty
cell is no label. Source: statistics-and-measures 5.2, procedure P4. Departures: none.
"""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from upbringing.base.errors import FormatError, StudyError
from upbringing.base.files import write_bytes_atomic
from upbringing.base.fingerprint import text_sha256
from upbringing.base.spreadsheets import starts_formula
from upbringing.base.streams import stream
from upbringing.formats.answers import Answer
from upbringing.formats.labels import LABEL_MEASURE, LABEL_OUTCOMES
from upbringing.formats.rows import Row

COLUMNS = ("label_id", "request", "answer", "label")
NUM_TERCILES = 3
DEFAULT_PER_CHECKPOINT = 60  # statistics-and-measures 5.2: labelled answers per checkpoint


@dataclass(frozen=True)
class Drawn:
    """One answer of the sample. ``label_id`` is all that raters see of where it comes from."""

    label_id: str
    answer: Answer
    probability: float


def draw_sample(
    answers: Sequence[Answer],
    verdicts: Mapping[str, str | None],
    *,
    per_checkpoint: int = DEFAULT_PER_CHECKPOINT,
    seed: int,
) -> list[Drawn]:
    """Return a sample of ``per_checkpoint`` answers of each checkpoint, in an order that tells nothing.

    ``verdicts``: response to outcome, of every answer that the judge was shown; other answers are not drawn. Strata are
    verdict by tercile of answer length; each gets an equal share of the sample as far as it lasts. Stream:
    ``labels/<checkpoint>/<stratum>`` and ``labels/order``. Raises ``StudyError`` where a stratum would get no label:
    its answers would have no chance of being drawn, and no weight could stand for them.
    """
    by_checkpoint: dict[str, list[Answer]] = defaultdict(list)
    for answer in sorted(answers, key=lambda each: each.response):
        if answer.answer.strip() and answer.response in verdicts:
            by_checkpoint[answer.checkpoint].append(answer)
    chosen: list[tuple[Answer, float]] = []
    stratified = {name: _strata(given, verdicts) for name, given in sorted(by_checkpoint.items())}
    most = max((len(strata) for strata in stratified.values()), default=0)
    if per_checkpoint < most:
        raise StudyError(
            f"{per_checkpoint} labels per checkpoint do not reach every stratum (verdict by length of the answer): "
            f"there are up to {most}, and answers of those without a label would count for nothing. "
            f"Draw at least {most}"
        )
    for checkpoint, strata in stratified.items():
        sizes = _allocation({name: len(members) for name, members in strata.items()}, per_checkpoint)
        for name, members in sorted(strata.items()):
            random = stream(seed, "labels", checkpoint, name)
            picked = random.choice(len(members), size=sizes[name], replace=False)
            chosen += [(members[int(place)], sizes[name] / len(members)) for place in picked]
    order = stream(seed, "labels", "order").permutation(len(chosen))
    width = len(str(len(chosen)))
    # begins with a letter: a spreadsheet makes the number 1 of 01 when it saves a sheet
    return [Drawn(f"a{number:0{width}d}", *chosen[int(place)]) for number, place in enumerate(order, start=1)]


def _strata(answers: Sequence[Answer], verdicts: Mapping[str, str | None]) -> dict[str, list[Answer]]:
    lengths = np.array([len(answer.answer) for answer in answers])
    edges = np.quantile(lengths, [part / NUM_TERCILES for part in range(1, NUM_TERCILES)])
    strata: dict[str, list[Answer]] = defaultdict(list)
    for answer, tercile in zip(answers, np.searchsorted(edges, lengths, side="left"), strict=True):
        strata[f"{verdicts.get(answer.response) or 'unscored'}/{int(tercile)}"].append(answer)
    return strata


def _allocation(sizes: Mapping[str, int], total: int) -> dict[str, int]:
    """Return equal shares of ``total``, no stratum above its size; what small ones leave goes to the others."""
    given = dict.fromkeys(sizes, 0)
    left = min(total, sum(sizes.values()))
    while left:
        open_strata = [name for name in sorted(sizes) if given[name] < sizes[name]]
        for name in open_strata[:left]:
            given[name] += 1
        left = min(total, sum(sizes.values())) - sum(given.values())
    return given


def safe_cell(text: str) -> str:
    """Return ``text`` so that no spreadsheet takes it for a formula; sheets are never read for it."""
    return f"'{text}" if starts_formula(text) or text.startswith("'") else text


def write_labels(sample: Sequence[Drawn], path: Path, labels: Mapping[str, str] | None = None) -> None:
    """Write the sheet that one rater fills in; nothing in it tells of checkpoint or verdict.

    ``labels``: label_id to what is filled in already.
    """
    given = labels or {}
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for drawn in sample:
        label = given.get(drawn.label_id, "")
        cells = (drawn.label_id, drawn.answer.prompt, drawn.answer.answer, label)
        writer.writerow([safe_cell(cell) for cell in cells])
    write_bytes_atomic(path, ("\ufeff" + buffer.getvalue()).encode("utf-8"))  # the mark makes spreadsheets read UTF-8


def sheet_labels(path: Path, sample: Sequence[Drawn]) -> dict[str, str]:
    """Return label_id to label of the filled-in cells of a sheet. Empty cells are no labels.

    Raises ``FormatError`` for an unknown id, an id that stands twice, or a label off the menu.
    """
    known = {drawn.label_id for drawn in sample}
    try:
        reader = csv.DictReader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline=""), strict=True)
        lines = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FormatError(f"{path.name} cannot be read as CSV in UTF-8: {error}") from None
    if missing := {"label_id", "label"} - set(reader.fieldnames or ()):
        raise FormatError(f"{path.name} has no column {sorted(missing)[0]!r}")
    labels: dict[str, str] = {}
    seen = set()
    for number, line in enumerate(lines, start=2):
        name, label = (line["label_id"] or "").strip(), (line["label"] or "").strip().lower()
        if name not in known or name in seen:
            state = "twice" if name in seen else "not in this sample"
            raise FormatError(
                f"{path.name}, row {number}: the label_id {name!r} stands {state}: use the sheet as drawn"
            )
        seen.add(name)
        if label and label not in LABEL_OUTCOMES:
            raise FormatError(
                f"{path.name}, row {number}: the label {label!r} is not one of {', '.join(LABEL_OUTCOMES)}"
            )
        if label:
            labels[name] = label
    return labels


def read_labels(path: Path, sample: Sequence[Drawn], *, rater: str) -> list[Row]:
    """Return one row per filled-in cell: judge kind ``human``, with rater and sampling probability."""
    labels = sheet_labels(path, sample)
    return [_label_row(drawn, labels[drawn.label_id], rater) for drawn in sample if drawn.label_id in labels]


def _label_row(drawn: Drawn, label: str, rater: str) -> Row:
    answer = drawn.answer
    return Row(
        checkpoint=answer.checkpoint,
        measure=LABEL_MEASURE,
        condition=answer.condition,
        item=answer.item,
        sample=answer.sample,
        judge=f"human/{rater}",
        judge_kind="human",
        rater=rater,
        outcome=label,
        value=float(label == "harmful"),
        response=answer.response,
        response_sha256=text_sha256(answer.answer),
        sampling_probability=drawn.probability,
    )
