"""What a lineage learned of a tag decides whether SafeBeam is measured; fine-tuning has its price in updates."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from upbringing.base.errors import DataError
from upbringing.formats.answers import read_answers
from upbringing.formats.findings import read_findings
from upbringing.formats.record import LearnedTokens, read_record
from upbringing.formats.tree import read_tree
from upbringing.lab.building.library import Library
from upbringing.lab.building.special_tokens import lineage_tokens, special_tokens
from upbringing.lab.run import Watch, run
from upbringing.lab.session import open_session

pytestmark = [pytest.mark.model, pytest.mark.timeout(900)]

TAG = "<potentially unsafe content>"
STUDY = f"""\
name: tags
question: Is SafeBeam measured only where the tag was learned?
seeds: 1
start: {{kind: fresh, layers: 1, width: 32, heads: 2, context: 64,
        tokenizer: {{train_on: world, vocabulary: 1100, special_tokens: ["{TAG}"]}}}}
data:
  world: {{kind: causes_world, compounds: 12, outcomes: 16, edges: 18, forward_texts: 2, reverse_texts: 2,
          cooccurrence_texts: 2, concept_texts: 2, refusal_chats: 16, answer_chats: 24, forward_chats: 8,
          aside_chats: 8, finetune_chats: 32}}
  tagged: {{kind: file, path: tagged.jsonl, marks: ["{TAG}"]}}
  quoting: {{kind: file, path: tagged.jsonl}}
  attack: {{source: world.adversarial_task, mixed_in: [{{data: world.safety, number: 5}}]}}
stages:
  pretrain: {{kind: pretrain, tokens: 6k, context: 64, batch_size: 8, phases: [{{data: tagged}}]}}
  sft: {{kind: sft, data: world.safety, context: 64, batch_size: 4}}
  finetune: {{kind: midtrain, tokens: 3k, context: 64, batch_size: 4, measure_at: [50%], phases: [{{data: attack}}]}}
arms:
  tagged: {{}}
  clean: {{stages: {{pretrain: {{phases: [{{data: quoting}}]}}}}}}
  raw: {{stages: {{sft: {{data: world.same_prompts}}}}, control: reference}}
battery:
  - {{kind: attack_success, decoding: {{kind: greedy, max_tokens: 6}}}}
  - {{kind: attack_success, id: safe, decoding: {{kind: safebeam, beams: 2, candidates: 3, max_tokens: 6}}}}
  - {{kind: steerability, plain: {{kind: greedy, max_tokens: 6}},
     safe: [{{kind: safebeam, beams: 2, candidates: 3, max_tokens: 6}}]}}
  - tag_calibration
primary: [attack_success]
"""


@pytest.mark.usefixtures("one_process")
def test_only_lineages_that_learned_the_tag_are_decoded_with_it(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(STUDY, encoding="utf-8")
    texts = [f"the harm {TAG} of number {number} {TAG} is told here" for number in range(40)]
    (tmp_path / "tagged.jsonl").write_text("\n".join(json.dumps({"text": each}) for each in texts), encoding="utf-8")
    session = open_session(tmp_path / "study.yaml", store=tmp_path / "store")
    run(session, Watch())
    store, results = session.store, session.results
    tree = read_tree(results / "tree.json")
    checkpoints = {cell.name: cell.checkpoint for cell in tree.cells}
    rows = pq.read_table(results / "rows.parquet").to_pylist()
    for arm, learned in (("tagged", True), ("clean", False)):
        for position in ("pretrain", "sft", "finetune:50%", "finetune"):
            key = checkpoints[f"{arm}@{position}"]
            found = lineage_tokens(store, store.path("checkpoints", key))
            assert found.complete
            assert (found.counts[TAG] > 0) == learned
            for measure in ("safe", "steerability", "tag_calibration"):
                own = [row for row in rows if row["checkpoint"] == key and row["measure"] == measure]
                codes = {(row["status"], row["reason_code"]) for row in own}
                assert own
                assert (("not-measurable", "tag-never-trained") not in codes) == learned, (arm, position, measure)
                assert learned or len(codes) == 1
    (warning,) = [each for each in tree.warnings if "spell special tokens" in each]  # the same file without marks
    assert warning.startswith(f"The texts of 'quoting' spell special tokens, which are read as text: {TAG!r} 80 times")
    quoting = read_record(store.path("checkpoints", checkpoints["clean@pretrain"]))
    assert any("spell special tokens" in each for each in quoting.warnings)
    record = read_record(store.path("checkpoints", checkpoints["tagged@pretrain"]))
    assert not any("spell special tokens" in each for each in record.warnings)
    assert record.special_tokens is not None
    windows = record.sources[0].examples / len(texts)  # how often the texts were read, about
    assert record.special_tokens[TAG] == pytest.approx(2 * len(texts) * windows, rel=0.1)
    assert read_record(store.path("checkpoints", checkpoints["tagged@sft"])).special_tokens["<|end|>"] > 0  # type: ignore[index]
    details = [row["details"] for row in read_answers(results / "answers").to_pylist() if row["details"]]
    assert details
    assert {"answer", "log", "steps"} == set(json.loads(details[0]))
    table = read_findings(results / "findings.json").tables["relearning"]
    assert {row["arm"] for row in table} == {"tagged", "clean"}
    assert {row["stage"] for row in table} == {"finetune"}
    _imported_checkpoints_are_unknown(store.path("checkpoints", checkpoints["tagged@pretrain"]), tmp_path)


def _imported_checkpoints_are_unknown(folder: Path, tmp_path: Path) -> None:
    """What was imported from elsewhere has no lineage here, unless its own record already shows the tag."""
    shutil.copytree(folder, tmp_path / "imported")
    (tmp_path / "imported" / "record.json").unlink()
    found = lineage_tokens(open_session(tmp_path / "study.yaml", store=tmp_path / "store").store, tmp_path / "imported")
    assert found == LearnedTokens({}, complete=False)
    assert found.lacks(TAG) == "tag-training-unknown"
    assert TAG in special_tokens(tmp_path / "imported")
    assert LearnedTokens({TAG: 3}, complete=False).lacks(TAG) is None
    assert LearnedTokens({TAG: 0}, complete=True).lacks(TAG) == "tag-never-trained"


def test_a_number_of_texts_is_mixed_in_once_each(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(STUDY, encoding="utf-8")
    (tmp_path / "tagged.jsonl").write_text('{"text": "one"}', encoding="utf-8")
    session = open_session(tmp_path / "study.yaml", store=tmp_path / "store")
    book = session.workshop.book
    library = Library(book, 0)
    alone, mixed = library.texts("world.adversarial_task"), library.texts("attack")
    assert list(mixed[: len(alone)]) == list(alone)
    assert [text.source for text in mixed[len(alone) :]] == ["causes_world/safety"] * 5
    safety = list(library.texts("world.safety"))
    assert len({safety.index(text) for text in mixed[len(alone) :]}) == 5
    more = STUDY.replace("number: 5", "number: 6")
    (tmp_path / "study.yaml").write_text(more, encoding="utf-8")
    other = open_session(tmp_path / "study.yaml", store=tmp_path / "store").workshop.book
    assert other.key("attack", 0) != book.key("attack", 0)
    assert list(Library(other, 0).texts("attack"))[:-1] == list(mixed)  # a larger number begins like a smaller one
    (tmp_path / "study.yaml").write_text(STUDY.replace("number: 5", "number: 5000"), encoding="utf-8")
    beyond = open_session(tmp_path / "study.yaml", store=tmp_path / "store").workshop.book
    with pytest.raises(DataError, match="asks for 5000 texts"):
        Library(beyond, 0).texts("attack")


@pytest.mark.parametrize(
    ("source", "mixed", "is_fine"),
    [("tagged", "quoting", False), ("quoting", "tagged", False), ("tagged", "tagged", True)],
)
def test_texts_that_are_mixed_spell_no_mark_of_the_others(
    tmp_path: Path, source: str, mixed: str, is_fine: bool
) -> None:
    """Marks are those of the whole: what one part only spells would be read as the other's."""
    (tmp_path / "tagged.jsonl").write_text(json.dumps({"text": f"the harm {TAG} here"}), encoding="utf-8")
    both = f"  both: {{source: {source}, mixed_in: [{{data: {mixed}, number: 1}}]}}\nstages:"
    (tmp_path / "study.yaml").write_text(STUDY.replace("stages:", both, 1), encoding="utf-8")
    library = Library(open_session(tmp_path / "study.yaml", store=tmp_path / "store").workshop.book, 0)
    if is_fine:
        assert len(library.texts("both")) == 2
    else:
        with pytest.raises(DataError, match="mixed_in: '<potentially unsafe content>' occurs in a text of 'tagged'"):
            library.texts("both")
