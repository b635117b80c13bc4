"""The template that a study declares for an existing checkpoint is the one that it is asked in."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from upbringing.base.errors import DataError, StudyError, UntrustedError
from upbringing.base.fingerprint import text_sha256
from upbringing.data.tokenizer import CHAT_TEMPLATE
from upbringing.formats.tree import read_tree
from upbringing.lab.measurement.measure_jobs import measure_jobs
from upbringing.lab.measurement.pairing import pair_jobs
from upbringing.lab.planning.plan import plan
from upbringing.lab.run import Watch, build, measure
from upbringing.lab.session import Session, open_session

OTHER = CHAT_TEMPLATE.replace("{{ '<|' + message['role']", "{{ 'dek dek <|' + message['role']")
STUDY = """\
name: templates
seeds: 1
start: {{kind: existing, checkpoint: {folder}/base}}
stages:
  tuned: {{kind: existing, checkpoint: {folder}/tuned}}
  same: {{kind: existing, checkpoint: {folder}/tuned, template: {template!r}}}
data: {{prompts: {{kind: items, path: {folder}/prompts.jsonl}}}}
prompts: [prompts]
battery:
  - {{kind: over_refusal, decoding: {{kind: greedy, max_tokens: 6}}}}
  - {{kind: token_divergence, against: previous_stage}}
judges: [refusal_rules]
"""


def opened(tmp_path: Path, tiny_folder: Path, text: str = STUDY, template: str = OTHER) -> Session:
    quoted = template.replace("'", "''")
    made = text.replace("{template!r}", "'{template}'").format(folder=tiny_folder, template=quoted)
    (tmp_path / "study.yaml").write_text(made, encoding="utf-8")
    return open_session(tmp_path / "study.yaml", store=tmp_path / "store")


@pytest.mark.model
@pytest.mark.usefixtures("one_process")
def test_a_declared_template_is_the_one_that_is_used(tmp_path: Path, tiny_folder: Path) -> None:
    assert OTHER != CHAT_TEMPLATE
    session = opened(tmp_path, tiny_folder)
    prepared = build(session, Watch()).prepared
    jobs = {job.label.partition(" at ")[2].partition(",")[0]: job for job in measure_jobs(session, prepared)}
    assert (jobs["tuned"].template, jobs["same"].template) == (None, OTHER)
    for name, template in (("tuned", CHAT_TEMPLATE), ("same", OTHER)):
        folder = jobs[name].checkpoint_folder()
        assert jobs[name].loaded(folder).tokenizer.chat_template == template
        assert jobs[name].identity(folder)["template"] == text_sha256(template)
    (held,) = [job for job in pair_jobs(session, prepared) if job.measured.template == OTHER]
    assert [each.job.template for each in held.held if each.job is not None] == [None]
    results = measure(session, Watch())
    tree = read_tree(results / "tree.json")
    templates = {cell.position: cell.checkpoint for cell in tree.cells}
    hashes = {each.id: each.template_sha256 for each in tree.checkpoints}
    assert hashes[templates["tuned"]] == text_sha256(CHAT_TEMPLATE)
    assert hashes[templates["same"]] == text_sha256(OTHER)
    assert {each.template for each in tree.conditions if each.elicitation == "E1"} == {None}  # each checkpoint its own


def test_a_declared_template_is_tried_before_anything_is_asked(tmp_path: Path, tiny_folder: Path) -> None:
    session = opened(tmp_path, tiny_folder, template="{% for message in messages %}")
    with pytest.raises(DataError, match="cannot be used"):
        build(session, Watch())


def test_settings_that_bring_code_stop_a_study_before_any_other_checkpoint_is_asked(
    tmp_path: Path, tiny_folder: Path
) -> None:
    trapped = tmp_path / "trapped"
    shutil.copytree(tiny_folder / "tuned", trapped)
    config = json.loads((trapped / "config.json").read_text(encoding="utf-8"))
    (trapped / "config.json").write_text(json.dumps({**config, "auto_map": {"AutoModel": "x.y"}}), encoding="utf-8")
    session = opened(tmp_path, tiny_folder, STUDY.replace("{folder}/tuned,", f"{trapped},"))
    with pytest.raises(UntrustedError, match="trapped sets 'auto_map'"):
        build(session, Watch())


@pytest.mark.usefixtures("one_process")
def test_nothing_is_trained_from_a_checkpoint_under_another_template(tmp_path: Path, tiny_folder: Path) -> None:
    (tmp_path / "chats.jsonl").write_text('{"prompt": "bab", "completion": "dek"}\n' * 8, encoding="utf-8")
    text = STUDY.replace("battery:", "  chats: {{kind: file, path: chats.jsonl}}\nbattery:")
    text = text.replace("data: {{prompts: {{kind: items, path: {folder}/prompts.jsonl}}}}\n", "")
    text = text.replace(
        "prompts: [prompts]\n", "data:\n  prompts: {{kind: items, path: {folder}/prompts.jsonl}}\nprompts: [prompts]\n"
    )
    text = text.replace("  chats: {{kind: file, path: chats.jsonl}}\n", "")
    text = text.replace("data:\n", "data:\n  chats: {{kind: file, path: chats.jsonl}}\n")
    text = text.replace("data:\n", "  sft: {{kind: sft, data: chats, context: 64, batch_size: 4}}\ndata:\n", 1)
    with pytest.raises(StudyError, match=r"'sft' of arm 'main' starts from .* for asking it only"):
        build(opened(tmp_path, tiny_folder, text), Watch())


@pytest.mark.model
@pytest.mark.usefixtures("one_process")
def test_checkpoints_of_equal_weights_and_other_settings_are_two(tmp_path: Path, tiny_folder: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(tiny_folder / "tuned", other)

    def set_epsilon(value: float) -> None:
        config = json.loads((other / "config.json").read_text(encoding="utf-8"))
        (other / "config.json").write_text(json.dumps({**config, "rms_norm_eps": value}), encoding="utf-8")

    def to_measure() -> int:
        opened_again = open_session(tmp_path / "study.yaml", store=tmp_path / "store", reads_only=True)
        return plan(opened_again).measuring.num_to_measure

    set_epsilon(0.5)
    text = STUDY.replace("{folder}/tuned, template: {template!r}", "{other}")
    text = text.replace("  - {{kind: token_divergence, against: previous_stage}}\n", "")
    (tmp_path / "study.yaml").write_text(text.format(folder=tiny_folder, other=other), encoding="utf-8")
    session = open_session(tmp_path / "study.yaml", store=tmp_path / "store")
    results = measure(session, Watch())
    cells = {cell.position: cell.checkpoint for cell in read_tree(results / "tree.json").cells}
    assert len(set(cells.values())) == 3
    assert to_measure() == 0
    shutil.copystat(tiny_folder / "tuned", other)
    (other / "config.json").touch()  # the same bytes under another time are the same checkpoint
    assert to_measure() == 0
    set_epsilon(0.25)
    assert to_measure() == 1
    again = build(session, Watch()).prepared
    assert cells["same"] not in again.keys.values()
    assert cells["tuned"] in again.keys.values()
