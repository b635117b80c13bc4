"""Small corpora, recipes and tools for the tests of corpora; also run as a child process that may be killed."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from upbringing.base.streams import stream
from upbringing.data.documents import Chat, Document, TrainingText, Turn
from upbringing.data.interventions.scores import HarmScore
from upbringing.data.interventions.tools import NO_TOOLS, Tools, text_name
from upbringing.data.transforms import Transformed
from upbringing.lab.corpus.recipe import CorpusRecipe
from upbringing.lab.corpus.run import transform_corpus
from upbringing.lab.corpus.seam import CorpusTools, ToolsRequest, open_tools

ROUTE = (
    {"scores": 0, "do": "keep"},
    {"scores": [1, 3], "do": [{"kind": "sample", "share": 0.5}]},
    {"scores": [4, 5], "do": "drop"},
)


def rows(count: int) -> list[dict[str, Any]]:
    """Documents with scores 0..5 in turn, every tenth one a copy of the one before in other case."""
    made: list[dict[str, Any]] = []
    for number in range(count):
        text = (
            made[-1]["text"].upper() if number % 10 == 9 else f"Text {number} says thing {number * number} – quietly."
        )
        made.append({"id": f"d{number}", "text": text, "score": number % 6, "url": f"https://x/{number}"})
    return made


def write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Write JSON Lines, packed if the name says so."""
    data = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
    return path


def recipe(paths: Sequence[Path], **changes: Any) -> CorpusRecipe:
    """A recipe over files with ids and scores."""
    plain: dict[str, Any] = {
        "input": {"kind": "files", "paths": [str(path) for path in paths]},
        "columns": {"id": "id", "score": "score"},
        "route": list(ROUTE),
        "shard_bytes": 2000,
    }
    return CorpusRecipe.model_validate({**plain, **changes})


def child(made: CorpusRecipe, output: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a recipe in a process of its own."""
    return subprocess.run(
        [sys.executable, __file__, made.model_dump_json(), str(output), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its bytes."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def joined(folder: Path, kind: str) -> list[dict[str, Any]]:
    """All rows of a kind of output, in the order of the files."""
    lines = [line for path in sorted((folder / kind).glob("*.jsonl")) for line in path.read_text().splitlines()]
    return [json.loads(line) for line in lines]


@dataclass(frozen=True)
class PaidScorer:
    """Scores by length, and writes each call down, as a bill would."""

    bill: Path
    id: str = "paid"

    def score(self, documents: Sequence[Document]) -> list[HarmScore]:
        with self.bill.open("a") as handle:
            for document in documents:
                handle.write(f"score {document.metadata['id']}\n")
        return [HarmScore(len(document.text) % 6, "its length") for document in documents]


def paid_tools(request: ToolsRequest) -> CorpusTools:
    """Tools whose every call is written down; the place of the bill comes from the child's arguments."""
    return CorpusTools(scorer=PaidScorer(Path(sys.argv[3])), paid_scorer=True)


class Dialogue:
    """A transform for tests: a chat and an article of each document; of every third one only a reject."""

    def apply(self, texts: Sequence[TrainingText], seed: int, tools: Tools = NO_TOOLS) -> Transformed:
        made: list[TrainingText] = []
        rejects: list[tuple[TrainingText, str]] = []
        for text in texts:
            assert isinstance(text, Document)
            if len(text.text) % 3 == 0:
                rejects.append((text, "the writer answered nonsense"))
                continue
            turns = (
                Turn("user", text.text),
                Turn("assistant", f"No. {stream(seed, 'dialogue', text_name(text)).random()}"),
            )
            made += [Chat(turns=turns, source="refusals", harm=0), Document(text="Why not.", source="moral", harm=0)]
        return Transformed(tuple(made), tuple(rejects))


if __name__ == "__main__":
    opener = paid_tools if len(sys.argv) > 3 else open_tools
    transform_corpus(CorpusRecipe.model_validate_json(sys.argv[1]), Path(sys.argv[2]), opener=opener)
