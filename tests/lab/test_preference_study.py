"""A study with a preference stage, from YAML to findings."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import pytest

from upbringing.data.documents import Preference
from upbringing.data.pairs import open_pair_stream
from upbringing.data.rendering import open_tokenizer, render_preferences
from upbringing.data.stream import open_stream
from upbringing.formats.record import read_record
from upbringing.formats.tree import read_tree
from upbringing.lab.building.build import stream_jobs, tokenizer_folders
from upbringing.lab.building.library import built_world
from upbringing.lab.planning.plan import plan
from upbringing.lab.run import Watch, run
from upbringing.lab.session import Session, open_session

pytestmark = [pytest.mark.model, pytest.mark.timeout(900)]

STUDY = """\
name: preferred
question: Do preferences move the margin of refusing?
seeds: 1
start: {kind: fresh, layers: 1, width: 32, heads: 2, context: 64, tokenizer: {train_on: world, vocabulary: 1100}}
data:
  world: {kind: causes_world, compounds: 12, outcomes: 16, edges: 18, forward_texts: 4, reverse_texts: 4,
          cooccurrence_texts: 2, concept_texts: 4, refusal_chats: 32, answer_chats: 24, forward_chats: 8,
          aside_chats: 8, finetune_chats: 32}
stages:
  sft: {kind: sft, data: world.same_prompts, context: 64, batch_size: 8, epochs: 4}
  dpo: {kind: dpo, data: world.preferences, context: 64, batch_size: 8, epochs: 6, beta: 0.1, learning_rate: 3e-3}
arms:
  main: {}
  without: {drop: dpo}
  adapted: {stages: {dpo: {weights: {kind: lora, rank: 8}, epochs: 12, learning_rate: 1e-2}}}
battery: [refusal_margin]
primary: [refusal_margin]
margins: {refusal_margin: 0.1}
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Session:
    folder = tmp_path_factory.mktemp("preferred")
    (folder / "study.yaml").write_text(STUDY, encoding="utf-8")
    session = open_session(folder / "study.yaml", store=folder / "store")
    run(session, Watch())
    return session


def checkpoint(session: Session, cell: str) -> Path:
    key = next(each.checkpoint for each in read_tree(session.results / "tree.json").cells if each.name == cell)
    found = session.store.find("checkpoints", key, full=True)
    assert found is not None
    return found


@pytest.mark.parametrize("arm", ["main", "adapted"])
def test_the_record_says_what_was_preferred_by_whom(finished: Session, arm: str) -> None:
    record = read_record(checkpoint(finished, f"{arm}@dpo"))
    (source,) = record.sources
    assert record.kind == "dpo"
    assert record.guard == "ok"
    assert source.source == "causes_world/preferences"
    assert source.teachers == ("template",)
    assert 0 < record.supervised_tokens == source.supervised_tokens < record.tokens == source.realised_tokens
    assert record.updates == record.steps == record.total_steps > 10
    assert record.loss_curve[0][1] == pytest.approx(0.6931, abs=2e-3)  # ln 2; bf16 where the machine computes it


@pytest.mark.parametrize("arm", ["main", "adapted"])
def test_the_published_folder_opens_as_any_other(finished: Session, arm: str) -> None:
    import json

    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = checkpoint(finished, f"{arm}@dpo")
    AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    assert AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False).chat_template
    parent = checkpoint(finished, f"{arm}@sft")
    left, right = (json.loads((each / "config.json").read_text(encoding="utf-8")) for each in (parent, folder))
    assert left == right


def test_the_margin_of_refusing_rises_where_refusing_is_preferred_and_falls_where_answering_is(
    finished: Session,
) -> None:
    """On the requests of the pairs: a model without pretraining knows too few words to carry it further."""
    world = built_world(finished.study.data["world"], finished.workshop.book.world_seed(0))  # type: ignore[arg-type]
    pairs = [text for text in world.texts("preferences") if isinstance(text, Preference)]
    before, full, adapted = (checkpoint(finished, cell) for cell in ("main@sft", "main@dpo", "adapted@dpo"))
    for kind in ("harmful", "benign"):
        group = [pair for pair in pairs if pair.metadata["kind"] == kind]
        assert mean_margin(full, group) - mean_margin(before, group) > 5.0  # nats
    assert mean_margin(adapted, pairs) - mean_margin(before, pairs) > 1.0  # adapters learn less


def mean_margin(folder: Path, pairs: Sequence[Preference]) -> float:
    """Log-probability of the chosen answer less that of the rejected one, mean over pairs."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, trust_remote_code=False).eval()

    def score(prompt: list[int], answer: list[int]) -> float:
        with torch.no_grad():
            logits = torch.log_softmax(model(torch.tensor([prompt + answer])).logits[0], dim=-1)
        return float(sum(logits[len(prompt) - 1 + place, token] for place, token in enumerate(answer)))

    rendered = render_preferences(pairs, open_tokenizer(folder), folder)
    return fmean(score(prompt, chosen) - score(prompt, rejected) for prompt, chosen, rejected in rendered)


def test_the_seed_of_the_stage_is_that_of_its_level(finished: Session) -> None:
    cells = {each.name: each for each in read_tree(finished.results / "tree.json").cells}
    assert cells["main@dpo"].seeds.rl == 0
    assert cells["main@sft"].seeds.rl is None
    assert cells["without@sft"].checkpoint == cells["main@sft"].checkpoint
    assert plan(finished).num_to_build == 0


BOTH = """\
name: both
seeds: 1
start: {kind: existing, checkpoint: start}
data: {feedback: {kind: file, path: feedback.jsonl, teacher: somebody}}
stages:
  sft: {kind: sft, data: feedback, context: 64, batch_size: 2}
  dpo: {kind: dpo, data: feedback, context: 64, batch_size: 2}
battery: [refusal_margin]
"""


def test_one_file_of_chats_and_pairs_serves_both_kinds_of_stages(tmp_path: Path, existing: Path) -> None:
    shutil.copytree(existing, tmp_path / "start")
    said = (("user", "bab"), ("assistant", "bad baf"), ("assistant", "kab"))
    asked, good, bad = ({"role": role, "content": text} for role, text in said)
    row = {"prompt": "bab", "messages": [asked, good], "chosen": [asked, good], "rejected": [asked, bad]}
    (tmp_path / "feedback.jsonl").write_text(f"{json.dumps(row)}\n" * 8, encoding="utf-8")
    (tmp_path / "study.yaml").write_text(BOTH, encoding="utf-8")
    session = open_session(tmp_path / "study.yaml", store=tmp_path / "store")
    shop, tree, tokenizer = session.workshop, session.tree, open_tokenizer(tmp_path / "start")
    texts = {}
    for job in stream_jobs(shop, tree, tokenizer_folders(shop, tree)).values():
        job.run(lambda event: None)
        folder = shop.store.path("data", job.key)
        if job.recipe.form == "preferences":
            (pair,) = open_pair_stream(folder).pairs(0, 1)
            texts["dpo"] = tokenizer.decode([*pair.chosen, *pair.rejected])
        else:
            texts["sft"] = tokenizer.decode(open_stream(folder).arrays["tokens"][0].tolist())
    assert "bad baf" in texts["dpo"]
    assert "kab" in texts["dpo"]
    assert "bad baf" in texts["sft"]
    assert "kab" not in texts["sft"]
