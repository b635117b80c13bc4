"""A corpus run that is killed, at any counted fault point, and started again."""

from __future__ import annotations

import random
import signal
from pathlib import Path

import pytest
from corpus_bench import child, recipe, rows, tree, write_lines

from upbringing.lab.corpus.recipe import CorpusRecipe
from upbringing.lab.corpus.run import transform_corpus


def kill_points(made: CorpusRecipe, folder: Path, *arguments: str) -> int:
    log = folder / "faults.log"
    result = child(made, folder / "straight", *arguments, UPBRINGING_FAULT_LOG=str(log))
    assert result.returncode == 0, result.stderr
    return len(log.read_text().splitlines())


@pytest.mark.parametrize("form", ["jsonl", "jsonl.gz"])
def test_killed_anywhere_and_run_again_gives_the_same_bytes(tmp_path: Path, form: str) -> None:
    path = write_lines(tmp_path / f"in.{form}", rows(40))
    made = recipe([path], dedup={"exact": True, "near": {}}, shard_bytes=2000)
    count = kill_points(made, tmp_path)
    straight = tree(tmp_path / "straight")
    chosen = random.Random(3)
    for number in sorted({1, count, *(chosen.randint(1, count) for _ in range(5))}):
        output = tmp_path / f"killed-{number}"
        assert child(made, output, UPBRINGING_FAULT_AT=str(number)).returncode == -signal.SIGKILL
        assert not output.exists() or number > count - 2, "an output that is there is whole"
        transform_corpus(made, output)
        assert tree(output) == straight
        assert not output.with_name(f"{output.name}.work").exists()


def test_a_killed_run_pays_for_no_result_twice(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "in.jsonl", rows(24))
    columns = {"id": "id"}
    made = recipe([path], columns=columns, scorer={"kind": "keywords", "phrases": ["x"], "score": 5}, concurrency=1)
    count = kill_points(made, tmp_path, str(tmp_path / "bill"))
    bill = (tmp_path / "bill").read_text().splitlines()
    assert len(bill) == len(set(bill)) == 22, "duplicates are not paid for"
    for number in (count // 3, count // 2, 2 * count // 3):
        own = tmp_path / f"bill-{number}"
        assert child(made, tmp_path / str(number), str(own), UPBRINGING_FAULT_AT=str(number)).returncode < 0
        assert child(made, tmp_path / str(number), str(own)).returncode == 0
        paid = own.read_text().splitlines()
        assert len(paid) - len(set(paid)) <= 1, "only the call during which it was killed"
        assert tree(tmp_path / str(number)) == tree(tmp_path / "straight")
