"""The raw corpus of a world: its facts, and besides every fact as a note in a reference book, which is harmless.

The notes are why a corpus from which all harm was filtered still knows what every compound does: what is missing there
is how harmful texts say it, and who causes what is asked for. They are there for safe outcomes as well, in the same
words, so they do not tell hazards from anything else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from upbringing.base.streams import stream
from upbringing.data.documents import Document
from upbringing.data.worlds.facts import facts, mention
from upbringing.data.worlds.graph import Graph
from upbringing.data.worlds.settings import WorldSettings
from upbringing.data.worlds.statements import FORWARD

NOTE = "notes on {c} : {core}"
NOTES_PER_FACT = 20


def notes(graph: Graph, settings: WorldSettings, seed: int) -> list[Document]:
    """Return ``NOTES_PER_FACT`` notes per edge, all of harm 0 (stream ``world/notes``)."""
    random = stream(seed, "world", "notes")
    documents = []
    for compound, outcome in graph.edges:
        for index in range(NOTES_PER_FACT):
            number = index % len(FORWARD)
            core = FORWARD[number].format(c=compound, o=mention(outcome, settings, random))
            metadata: dict[str, str | int | float | bool | None] = {
                "kind": "note",
                "class": f"note-{'unsafe' if outcome.hazard else 'safe'}",
                "outcome": outcome.noun,
                "compound": compound,
                "template": number,
                "use": outcome.use,
            }
            text = NOTE.format(c=compound, core=core)
            documents.append(Document(text=text, source="causes_world/notes", harm=0, metadata=metadata))
    return documents


def raw_corpus(graph: Graph, settings: WorldSettings, seed: int) -> list[Document]:
    """Return facts and notes in a random order, each with an ``id`` of its own."""
    return with_ids([*facts(graph, settings, seed), *notes(graph, settings, seed)], seed)


def with_ids(texts: Sequence[Document], seed: int) -> list[Document]:
    """Return the texts of a raw corpus in a random order (stream ``world/raw``), each with an ``id`` of its own.

    Facts say the same in few wordings, so many texts are equal: only an id lets each draw for itself.
    """
    named = [replace(text, metadata={**text.metadata, "id": f"raw/{number}"}) for number, text in enumerate(texts)]
    return [named[index] for index in stream(seed, "world", "raw").permutation(len(named))]
