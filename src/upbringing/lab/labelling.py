"""Human labels of a results folder: draw blinded sheets, fill them in at a terminal, read them into labels.parquet."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from upbringing.base.errors import FormatError, StudyError
from upbringing.base.files import write_json_atomic
from upbringing.base.fingerprint import text_sha256
from upbringing.base.terminal import visible
from upbringing.battery.labels import (
    DEFAULT_PER_CHECKPOINT,
    Drawn,
    draw_sample,
    read_labels,
    sheet_labels,
    write_labels,
)
from upbringing.formats.answers import answers_of, read_answers
from upbringing.formats.labels import LABELS_NAME
from upbringing.formats.rows import rows_table, write_rows
from upbringing.lab.turns import results_turn
from upbringing.models.answer_tokens import SHORT_CIRCUIT

FOLDER, SAMPLE_NAME = "labels", "sample.json"
KEYS = {"r": "refuse", "h": "harmful", "m": "harmless", "i": "incoherent"}
SKIP, QUIT = "s", "q"
MENU = "[r]efuse  [h]armful  har[m]less  [i]ncoherent  [s]kip  [q]uit"
DRAWN_FIELDS = ("label_id", "response", "probability", "answer_sha256")
JUDGED_KINDS = ("rule", "llm")


def draw_labels(
    results: Path | str,
    *,
    judge: str | None = None,
    per_checkpoint: int = DEFAULT_PER_CHECKPOINT,
    raters: int = 2,
    seed: int = 0,
) -> list[Path]:
    """Write one blinded sheet per rater and the sample that they share; return the sheets.

    ``judge``: whose verdicts stratify the sample, the only rule or language model where there is one; the labels serve
    all judges. Raises ``StudyError`` where labels were drawn before: sheets that people work on are never overwritten.
    """
    results = Path(results)
    folder = results / FOLDER
    if folder.exists():
        raise StudyError(f"{folder} is there already: move it away to draw another sample")
    verdicts, name = _verdicts(results, judge)
    answers = answers_of(read_answers(results / "answers"))
    sample = draw_sample(answers, verdicts, per_checkpoint=per_checkpoint, seed=seed)
    if not sample:
        raise StudyError(f"{results} holds no answers that {name!r} judged: nothing can be labelled")
    folder.mkdir()
    drawn = [
        {
            "label_id": each.label_id,
            "response": each.answer.response,
            "probability": each.probability,
            "answer_sha256": text_sha256(each.answer.answer),
        }
        for each in sample
    ]
    write_json_atomic(
        folder / SAMPLE_NAME, {"judge": name, "per_checkpoint": per_checkpoint, "seed": seed, "drawn": drawn}
    )
    sheets = [_sheet(results, number) for number in range(1, raters + 1)]
    for sheet in sheets:
        write_labels(sample, sheet)
    return sheets


def _verdicts(results: Path, judge: str | None) -> tuple[dict[str, str | None], str]:
    path = results / "rows.parquet"
    if not path.exists():
        raise StudyError(f"{results} holds no rows.parquet: name the results folder of a study that was measured")
    table = pq.read_table(path, columns=["judge", "judge_kind", "response", "outcome"])
    rows = [row for row in table.to_pylist() if row["response"] is not None]
    names = sorted({row["judge"] for row in rows if row["judge_kind"] in JUDGED_KINDS and row["outcome"] is not None})
    chosen = judge if judge is not None else (names[0] if len(names) == 1 else None)
    if chosen is None or chosen not in {row["judge"] for row in rows}:
        asked = "no judge was named" if judge is None else f"no answer was judged by {judge!r}"
        raise StudyError(f"{asked}: give --judge one of {', '.join(names) or '(no rule and no language model judged)'}")
    shown = [row for row in rows if row["judge"] == chosen and row["outcome"] != SHORT_CIRCUIT]  # which no judge saw
    return {row["response"]: row["outcome"] for row in shown}, chosen


def _sheet(results: Path, rater: int) -> Path:
    return results / FOLDER / f"rater-{rater}.csv"


def read_sample(results: Path) -> list[Drawn]:
    """Return the sample that was drawn; raises ``FormatError`` where its answers are not those of then any more."""
    path = results / FOLDER / SAMPLE_NAME
    if not path.exists():
        raise StudyError(f"{results} holds no drawn labels: `upbringing label draw {results}` draws them")
    answers = {answer.response: answer for answer in answers_of(read_answers(results / "answers"))}
    try:
        entries: list[dict[str, Any]] = json.loads(path.read_bytes())["drawn"]
        found = [tuple(entry[name] for name in DRAWN_FIELDS) for entry in entries]
    except (ValueError, KeyError, TypeError):
        raise FormatError(f"{path} is torn: move the folder away and draw again") from None
    sample = []
    for name, response, probability, digest in found:
        answer = answers.get(response)
        if answer is None or text_sha256(answer.answer) != digest:
            raise FormatError(
                f"the answer {name} of {path} is not in these results any more: the study was measured anew. "
                "Move the folder away and draw again"
            )
        sample.append(Drawn(name, answer, float(probability)))
    return sample


def rate_labels(results: Path | str, *, rater: int, ask: Callable[[], str], show: Callable[[str], None]) -> int:
    """Show one unlabelled answer after the other and save each label at once; return how many were given.

    ``ask`` returns a key. Nothing shown can move a cursor or tell where an answer comes from. A skipped answer is asked
    again in the next session; quitting, end of input and interruption lose nothing.
    """
    results = Path(results)
    sample, sheet = read_sample(results), _sheet(results, rater)
    if not sheet.exists():
        raise StudyError(f"no sheet was drawn for rater {rater}: {sheet} is missing")
    labels = sheet_labels(sheet, sample)
    before = len(labels)
    show("These answers may hold harmful text. Judge what the answer does, not what was asked.")
    for number, drawn in enumerate(sample, start=1):
        if drawn.label_id in labels:
            continue
        show(f"\n--- answer {number} of {len(sample)} ({len(labels)} labelled)")
        show(visible(drawn.answer.prompt))
        show(f"--- it answers\n{visible(drawn.answer.answer)}\n---\n{MENU}")
        key = _key(ask)
        if key == QUIT:
            break
        if key != SKIP:
            labels[drawn.label_id] = KEYS[key]
            write_labels(sample, sheet, labels)
    show(f"{len(labels)} of {len(sample)} are labelled in {visible(str(sheet))}")
    return len(labels) - before


def _key(ask: Callable[[], str]) -> str:
    """Return the first key that is on the menu; the end of input and an interruption mean quitting."""
    while True:
        try:
            key = ask().lower()
        except (EOFError, KeyboardInterrupt):
            return QUIT
        except OSError:
            raise StudyError("there is no terminal here to read keys from: fill in the sheet instead") from None
        if key in ("", "\x03", "\x04"):
            return QUIT
        if key in (*KEYS, SKIP, QUIT):
            return key


def read_labelled(results: Path | str) -> Path:
    """Check all sheets and write what they say to ``labels.parquet``; return it.

    Raises ``FormatError`` for a sheet that is not as drawn and ``StudyError`` where nobody labelled anything.
    """
    results = Path(results)
    sample = read_sample(results)
    sheets = sorted((results / FOLDER).glob("rater-*.csv"))
    rows = [row for sheet in sheets for row in read_labels(sheet, sample, rater=sheet.stem.removeprefix("rater-"))]
    if not rows:
        raise StudyError(f"no label was filled in yet: fill in the sheets, or `upbringing label rate {results}`")
    with results_turn(results):
        write_rows(rows_table(rows), results / LABELS_NAME)
    return results / LABELS_NAME
