"""Scoring by a list of words, routing and removing duplicates from a corpus: ours and datatrove's pipeline.

Both read the same JSON Lines, drop what holds a listed word and keep the first of each group of duplicates, in one
process each, and take turns. datatrove lives in an environment of its own (``--peer``: its python). Ours writes rejects
with reasons, accounts and hashes as well. Prints the ratio for exact duplicates and for MinHash, and whether the same
documents are left. ``--memory N``: instead run N short documents and print the memory that took.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from alternating import Ratio, alternate, at_least, light_machine, spread
from corpus_made import banned_words, write_corpus

SEED = 7
TARGET = 3.0
ALLOWED_DIFFERENCE = 1e-3  # of documents, where two MinHash families toss for those near the threshold
PEER = Path(__file__).with_name("corpus_peer.py")


def recipe(corpus: Path, words: list[str], kind: str) -> dict[str, object]:
    """Return our recipe of the same rules."""
    return {
        "input": {"kind": "files", "paths": [str(corpus)]},
        "columns": {"id": "id"},
        "scorer": {"kind": "keywords", "phrases": words, "hits": 1, "score": 5},
        "dedup": {"exact": kind == "exact", "near": {} if kind == "near" else None},
        "route": [{"scores": [0, 4], "do": "keep"}, {"scores": 5, "do": "drop"}],
    }


def ours(plain: str, output: str, workers: str) -> None:
    """Run our side in this process and print its seconds, and the memory it and its workers took."""
    import pyarrow.compute  # noqa: F401  # the peer's imports stand outside its clock, so do ours
    import rensa  # noqa: F401
    import scipy.sparse.csgraph  # noqa: F401

    from upbringing import transform_corpus
    from upbringing.lab.corpus.recipe import CorpusRecipe

    began, worked = time.perf_counter(), time.process_time()
    report = transform_corpus(CorpusRecipe.model_validate_json(plain), Path(output), workers=int(workers))
    spent = {"seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - worked}
    peaks = [resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    print(json.dumps({**spent, "accounts": report.accounts, "megabytes": peaks}))


def child(command: list[str]) -> dict[str, Any]:
    """Return what a process printed last."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def left(folder: Path, pattern: str) -> set[str]:
    """Return the ids of the documents that are left."""
    return {json.loads(line)["id"] for path in folder.glob(pattern) for line in path.read_text().splitlines()}


def leaders(folder: Path) -> dict[str, str]:
    """Return, for each near duplicate, the document that was kept instead."""
    rejects = [json.loads(line) for path in folder.glob("out/rejects/*") for line in path.read_text().splitlines()]
    code = "near duplicate"
    return {each["id"]: each["reason"].removeprefix(f"{code} of ") for each in rejects if each["code"] == code}


def compare(kind: str, corpus: Path, words: list[str], options: argparse.Namespace, root: Path) -> None:
    """Print the ratio for one kind of duplicates and how the decisions agree."""
    listed = root / "words.json"
    listed.write_text(json.dumps(words))
    folders: dict[str, Path] = {}
    processor: dict[str, list[float]] = {"ours": [], "datatrove": []}

    def spent(name: str, found: dict[str, Any]) -> float:
        processor[name].append(float(found["cpu_seconds"]))
        return float(found["seconds"])

    def fresh(name: str) -> Path:
        folders[name] = Path(tempfile.mkdtemp(dir=root, prefix=f"{kind}-{name}-"))
        return folders[name]

    def us() -> float:
        plain = json.dumps(recipe(corpus, words, kind))
        found = child([sys.executable, __file__, "--ours", plain, str(fresh("ours") / "out"), "1"])
        return spent("ours", found)

    def peer() -> float:
        found = child([options.peer, str(PEER), kind, str(corpus), str(listed), str(fresh("datatrove"))])
        return spent("datatrove", found)

    found = alternate({"datatrove": peer, "ours": us}, options.rounds)
    ratio = Ratio.of(found["datatrove"], found["ours"])
    print(f"{kind}: ours is {ratio} times as fast as datatrove; {at_least(ratio.median, TARGET)}")
    print(f"  processor time: {Ratio.of(processor['datatrove'], processor['ours'])} (a busy machine stretches seconds)")
    print("  documents/s: " + ", ".join(
        f"{name} {spread([options.documents / each for each in values])}" for name, values in found.items()
    ))  # fmt: skip
    mine, theirs = left(folders["ours"], "out/documents/*.jsonl"), left(folders["datatrove"], "out/*.jsonl")
    if kind == "near":  # of a group of alike documents ours keeps the first, datatrove some other one now and then
        first = leaders(folders["ours"])
        theirs = {first.get(name, name) for name in theirs}
    differing = len(mine ^ theirs)
    allowed = 0 if kind == "exact" else int(ALLOWED_DIFFERENCE * options.documents)
    print(f"  left: ours {len(mine):,}, datatrove {len(theirs):,} of {options.documents:,}; {differing} differ "
          f"({'as they may' if differing <= allowed else 'WRONG'}: at most {allowed})", flush=True)  # fmt: skip
    if differing > allowed:
        raise SystemExit(1)


def memory(num_documents: int, workers: int, root: Path) -> None:
    """Print what short documents take, with both kinds of duplicates looked for."""
    for count in (num_documents // 10, num_documents):
        corpus = root / f"short-{count}.jsonl"
        write_corpus(corpus, count, SEED, median_words=20)
        made = recipe(corpus, banned_words(SEED), "near")
        made["dedup"] = {"exact": True, "near": {}}
        found = child([sys.executable, __file__, "--ours", json.dumps(made), str(root / f"out-{count}"), str(workers)])
        own, worker = found["megabytes"]
        seconds = float(found["seconds"])
        print(f"{count:,} documents ({corpus.stat().st_size / 1e6:,.0f} MB) with {workers} workers: {seconds:,.0f} s, "
              f"{count / seconds:,.0f} documents/s; peak {own:,.0f} MB, of the largest worker {worker:,.0f} MB",
              flush=True)  # fmt: skip


def main() -> None:
    """Print both ratios, or the memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", default=sys.executable, help="the python of an environment with datatrove")
    parser.add_argument("--documents", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=("exact", "near"))
    parser.add_argument("--memory", type=int, metavar="N", help="run N short documents instead")
    parser.add_argument("--workers", type=int, default=1, help="of the run with --memory")
    parser.add_argument("--ours", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.ours:
        ours(*options.ours)
        return
    print(light_machine())
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        if options.memory:
            memory(options.memory, options.workers, root)
            return
        corpus = root / "corpus" / "in.jsonl"
        corpus.parent.mkdir()
        planted = write_corpus(corpus, options.documents, SEED)
        print(f"{options.documents:,} documents, {corpus.stat().st_size / 1e6:,.0f} MB; planted: {dict(planted)}")
        for kind in [options.only] if options.only else ["exact", "near"]:
            compare(kind, corpus, banned_words(SEED), options, root)


if __name__ == "__main__":
    main()
