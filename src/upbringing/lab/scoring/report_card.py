"""Report cards of files: read once, written as JSON and Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path

from upbringing.base.errors import DataError
from upbringing.base.files import write_bytes_atomic, write_json_atomic
from upbringing.base.text_reading import TextReader
from upbringing.data.documents import Document
from upbringing.data.interventions.scores import HarmScore, Scorer
from upbringing.data.interventions.scoring.harm_lists import HarmLists, default_lists
from upbringing.data.interventions.scoring.report_card import ReportCard, card_markdown, component_cards
from upbringing.data.rendering import open_tokenizer
from upbringing.data.tokenizer import tokenizer_sha256
from upbringing.lab.scoring.score_file import ROWS_AT_ONCE
from upbringing.lab.scoring.text_rows import SOURCE, column, document_of, read_rows, score_of

CARD_JSON, CARD_MARKDOWN = "card.json", "card.md"
SHOWN_CHARACTERS = 16  # of the hash of a tokenizer


def report_card(
    before: Path,
    after: Path | None = None,
    *,
    scorer: Scorer | None = None,
    lists: HarmLists | None = None,
    component_column: str = SOURCE,
    tokenizer: Path | None = None,
) -> ReportCard:
    """Return the card of one file of texts, or of the file before and the file after an intervention.

    The scores are those in the files, as `upbringing data score` writes them, or those of ``scorer``. Without the
    column of components a file is one component, of its name. ``tokenizer``: a folder with one, whose tokens are
    counted too, without an end of each text; what a text spells of a special token is text.
    """
    used = lists or default_lists()
    files = {"before": before} if after is None else {"before": before, "after": after}
    count = None if tokenizer is None else _counter(tokenizer)
    sides = {
        side: component_cards(_scored(path, scorer, component_column), used, count) for side, path in files.items()
    }
    by = None if tokenizer is None else tokenizer_sha256(tokenizer)[:SHOWN_CHARACTERS]
    return ReportCard(used.id, tuple(used.categories), sides, by)


def _counter(tokenizer: Path) -> Callable[[str], int]:
    """Return what counts the tokens of a text; raises ``DataError`` for a folder without a fast tokenizer."""
    tokenizer_sha256(tokenizer)
    reader = TextReader(open_tokenizer(tokenizer))
    return lambda text: len(reader.ids([text])[0])


def _scored(path: Path, scorer: Scorer | None, component_column: str) -> Iterator[tuple[Document, HarmScore]]:
    rows = read_rows(path)
    while batch := list(islice(rows, ROWS_AT_ONCE)):
        documents = [document_of(row, path.stem) for row in batch]
        if component_column != SOURCE:
            names = [str(column(row, component_column)) for row in batch]
            documents = [replace(each, source=name) for each, name in zip(documents, names, strict=True)]
        scores = [score_of(row) for row in batch] if scorer is None else scorer.score(documents)
        yield from zip(documents, scores, strict=True)


def write_card(card: ReportCard, folder: Path) -> tuple[Path, Path]:
    """Write the card into ``folder`` as JSON and as Markdown; return both paths."""
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder} is a file: name a folder for the card")
    folder.mkdir(parents=True, exist_ok=True)
    write_json_atomic(folder / CARD_JSON, asdict(card))
    write_bytes_atomic(folder / CARD_MARKDOWN, card_markdown(card).encode("utf-8"))
    return folder / CARD_JSON, folder / CARD_MARKDOWN
