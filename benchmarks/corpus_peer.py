"""datatrove's side of corpus_speed.py, for its own environment: prints the seconds of its pipelines as JSON.

The same rules as ours: equal texts but for case and white space; MinHash over the same runs of words; any listed word.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
import unicodedata
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

from datatrove.data import Document
from datatrove.executor.local import LocalPipelineExecutor
from datatrove.pipeline.dedup import exact_dedup, minhash
from datatrove.pipeline.filters.c4_filters import C4BadWordsFilter
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter
from datatrove.utils.logging import logger
from datatrove.utils.text import TextNormConfig


class Words:
    """The quickest tokenizer for its simplified text, and the same words as ours; its default, spaCy, is slower."""

    def word_tokenize(self, text: str) -> list[str]:
        """Return the words."""
        return text.split()


def normalised(document: Document) -> str:
    """Return what equal texts share."""
    text = document.text if document.text.isascii() else unicodedata.normalize("NFC", document.text)
    return " ".join(text.lower().split())


def listed(words: list[str]) -> C4BadWordsFilter:
    """Return datatrove's own filter, its own pattern, with this list instead of the one it would download."""
    made = C4BadWordsFilter(exclusion_writer=None)
    made._badwords_regex["en"] = re.compile(r"(?:\W|^)({})(?:\W|$)".format("|".join(map(re.escape, words))))
    return made


def run(steps: list[object], logs: Path) -> None:
    """Run one pipeline in this process."""
    LocalPipelineExecutor(pipeline=steps, tasks=1, workers=1, logging_dir=str(logs), skip_completed=False).run()


def exact(corpus: Path, words: list[str], work: Path) -> None:
    """Exact duplicates, then the list."""
    config = exact_dedup.ExactDedupConfig(content_getter=normalised)
    reader = {"data_folder": str(corpus.parent), "glob_pattern": corpus.name}
    run([JsonlReader(**reader), exact_dedup.ExactDedupSignature(str(work / "sig"), config)], work / "log1")
    run([exact_dedup.ExactFindDedups(str(work / "sig"), str(work / "dup"), config)], work / "log2")
    drop = exact_dedup.ExactDedupFilter(str(work / "dup"), config, JsonlWriter(str(work / "dups"), compression=None))
    run([JsonlReader(**reader), drop, *ending(words, work)], work / "log3")


def near(corpus: Path, words: list[str], work: Path) -> None:
    """MinHash duplicates, then the list."""
    minhash.load_word_tokenizer = lambda language: Words()
    plain = TextNormConfig(
        norm_numbers=False, norm_weekdays=False, norm_monthnames=False, norm_unicode_diacritics=False
    )
    config = minhash.MinhashConfig(norm_config=plain)
    reader = {"data_folder": str(corpus.parent), "glob_pattern": corpus.name}
    run([JsonlReader(**reader), minhash.MinhashDedupSignature(str(work / "sig"), config)], work / "log1")
    for bucket in range(config.num_buckets):
        step = minhash.MinhashDedupBuckets(str(work / "sig"), str(work / "buckets"), config=config)
        step.run(None, rank=bucket, world_size=config.num_buckets)  # one process does all buckets, without logs
    run([minhash.MinhashDedupCluster(str(work / "buckets"), str(work / "dup"), config=config)], work / "log3")
    drop = minhash.MinhashDedupFilter(str(work / "dup"), JsonlWriter(str(work / "dups"), compression=None))
    run([JsonlReader(**reader), drop, *ending(words, work)], work / "log4")


def ending(words: list[str], work: Path) -> list[object]:
    """Return the list's filter and the writer, uncompressed as ours."""
    return [listed(words), JsonlWriter(str(work / "out"), compression=None)]


def main() -> None:
    """Do what the arguments say: kind, corpus, words, work folder."""
    kind, corpus, words, work = sys.argv[1:]
    logger.remove()
    began, worked = time.perf_counter(), time.process_time()
    {"exact": exact, "near": near}[kind](Path(corpus), json.loads(Path(words).read_text()), Path(work))
    print(json.dumps({"seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - worked}))


if __name__ == "__main__":
    main()
