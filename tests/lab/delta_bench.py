"""A tiny pipeline of two trained stages between which something changes, and how its cells are found."""

from __future__ import annotations

from pathlib import Path

from upbringing.base.strict_yaml import parse_yaml
from upbringing.formats.items import Item
from upbringing.formats.tree import Cell, read_tree
from upbringing.lab.session import Session, open_session
from upbringing.study.loading import study_from
from upbringing.study.recipes import DataBook
from upbringing.study.tree import StudyTree, study_tree

TWO_STAGES = """\
seeds: 1
precision: fp32
start: {kind: fresh, layers: 1, width: 32, heads: 2, context: 64, tokenizer: {train_on: world, vocabulary: 1100}}
data:
  world: {kind: causes_world, compounds: 12, outcomes: 16, edges: 18, forward_texts: 4, reverse_texts: 4,
          cooccurrence_texts: 2, concept_texts: 4, refusal_chats: 16, answer_chats: 24, forward_chats: 8,
          aside_chats: 8, finetune_chats: 32}
  texts: {kind: items, path: items.jsonl}
stages:
  pretrain: {kind: pretrain, tokens: 4k, context: 64, batch_size: 8, phases: [{data: world.facts}]}
  mid: {kind: midtrain, tokens: 4k, context: 64, batch_size: 8, phases: [{data: world.pretraining_concept}]}
prompts: [texts]
battery: [bits_per_byte]
"""
"""A study without its name and arms; ``write_texts`` makes its items."""


def write_texts(path: Path) -> None:
    texts = [f"{word} is a word, and so is {word}s" for word in ("rain", "snow", "wind", "heat", "cold", "fog")]
    items = [Item(id=text, cluster=text, request="benign", split="ood", text=text) for text in texts]
    path.write_text("\n".join(item.model_dump_json() for item in items), encoding="utf-8")


def cell(session: Session, name: str) -> Cell:
    return next(each for each in read_tree(session.results / "tree.json").cells if each.name == name)


def folder_of(session: Session, name: str) -> Path:
    found = session.store.find("checkpoints", cell(session, name).checkpoint, full=True)
    assert found is not None
    return found


def opened(folder: Path, text: str) -> Session:
    """Return a session on the study ``text`` in ``folder``, with its texts and a store of its own."""
    write_texts(folder / "items.jsonl")
    (folder / "study.yaml").write_text(text, encoding="utf-8")
    return open_session(folder / "study.yaml", store=folder / "store")


def tree_of(text: str) -> StudyTree:
    study = study_from(parse_yaml(text))
    return study_tree(study, DataBook(study.data, Path(), study.seed))


def ends(text: str) -> dict[str, str]:
    """Return the recipe key that each arm ends in."""
    return {each.arm.name: each.end_key for each in tree_of(text).lineages}
