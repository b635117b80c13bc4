"""Results of paid calls, written down as they come: a run that is killed asks for none of them twice."""

from __future__ import annotations

import json
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

from upbringing.base.files import append_line, whole_lines
from upbringing.data.documents import Chat, Document, Preference, Span, TrainingText, Turn
from upbringing.data.interventions.scores import HarmScore
from upbringing.data.interventions.tools import Dose, Transformed

TRANSFORM = "transform"
KINDS = {"document": Document, "chat": Chat, "preference": Preference}


class Journal:
    """The paid results of one piece. A result stands under ``what`` (score, transform ...) and the document's name.

    A failure is a result as well: it is not paid for again. Several threads may note results.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._one_at_a_time = threading.Lock()
        self._known: dict[tuple[str, str], Any] = {}
        for line in whole_lines(path):
            try:
                entry = json.loads(line)
                self._known[entry["what"], entry["name"]] = entry["result"]
            except (ValueError, KeyError, TypeError):
                continue  # the line at which a run was killed: its result was not yet had

    def score(self, name: str) -> HarmScore | None:
        """Return the score that was paid for."""
        found = self._known.get(("score", name))
        return None if found is None else HarmScore(**found)

    def labels(self, name: str, what: str) -> list[Any] | None:
        """Return the labels that were paid for, as they were noted under ``what``."""
        found: list[Any] | None = self._known.get((what, name))
        return found

    def note_labels(self, name: str, labels: list[Any], what: str) -> None:
        """Write down ``labels``, which are JSON values."""
        self._write(name, labels, what)

    def transformed(self, name: str, what: str = TRANSFORM) -> Transformed | None:
        """Return the texts that were paid for; ``what`` says up to where, if not by all transforms."""
        found = self._known.get((what, name))
        if found is None:
            return None
        rejects = tuple((_text(each), reason) for each, reason in found["rejects"])
        doses = tuple(_dose(each) for each in found["doses"])
        return Transformed(tuple(_text(each) for each in found["texts"]), rejects, doses)

    def note(self, name: str, result: HarmScore | Transformed, what: str = TRANSFORM) -> None:
        """Write ``result`` down; ``what`` is of texts."""
        if isinstance(result, HarmScore):
            self._write(name, asdict(result), "score")
        else:
            rejects = [[_plain(text), reason] for text, reason in result.rejects]
            doses = [asdict(dose) for dose in result.doses]
            plain = {"texts": [_plain(text) for text in result.texts], "rejects": rejects, "doses": doses}
            self._write(name, plain, what)

    def _write(self, name: str, plain: Any, what: str) -> None:
        line = json.dumps({"what": what, "name": name, "result": plain})
        with self._one_at_a_time:
            append_line(self._path, line)


def _dose(plain: dict[str, Any]) -> Dose:
    named = ("failures", "facts", "parts")
    counts = {name: tuple((what, times) for what, times in plain.get(name, ())) for name in named}
    return Dose(**{**plain, **counts})


def _plain(text: TrainingText) -> dict[str, Any]:
    kind = next(name for name, kind in KINDS.items() if isinstance(text, kind))
    return {"kind": kind, **asdict(text)}


def _text(plain: dict[str, Any]) -> TrainingText:
    fields = dict(plain)
    kind = KINDS[fields.pop("kind")]
    for name in ("turns", "prompt"):
        if name in fields:
            fields[name] = tuple(Turn(**turn) for turn in fields[name])
    if "spans" in fields:
        fields["spans"] = tuple(Span(**span) for span in fields["spans"])
    made: TrainingText = kind(**fields)
    return made
