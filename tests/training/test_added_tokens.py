"""Special tokens for a checkpoint that has none: nothing else changes, and a study can train on marked data from it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from upbringing.base.errors import DataError, IntegrityError, StudyError
from upbringing.cli_store import add_tokens as add_tokens_verb
from upbringing.data.tokenizer import chat_template, require_special_tokens, token_ids, train_tokenizer
from upbringing.formats.record import BuildProfile
from upbringing.lab.building.special_tokens import special_tokens
from upbringing.models.loading import load_model
from upbringing.training.added_tokens import add_tokens
from upbringing.training.fresh import create_fresh
from upbringing.training.start import FreshStart, TokenizerRecipe

pytestmark = pytest.mark.model

TAG, GOOD = "<potentially unsafe content>", "<|aligned|>"
WORDS = ("bread", "is", "baked", "at", "home", "poison")


def checkpoint(folder: Path, *, tie: bool, spare: int = 0) -> Path:
    """Write a tiny checkpoint of another's; ``spare``: rows of its embeddings that no token has."""
    (folder / "tokenizer").mkdir(parents=True)
    train_tokenizer(WORDS, vocabulary=300, special_tokens=(), chat_template="{{ 'own' }}", folder=folder / "tokenizer")
    recipe = TokenizerRecipe(train_on="x")
    start = FreshStart(layers=1, width=16, heads=2, context=64, tie_embeddings=tie, tokenizer=recipe)
    create_fresh(start, folder / "tokenizer", 1, folder / "base")
    if spare:
        model = load_model(folder / "base", profile=BuildProfile()).model
        model.resize_token_embeddings(model.config.vocab_size + spare, mean_resizing=False)
        model.save_pretrained(folder / "base")
    return folder / "base"


def embeddings(model: Any) -> list[Any]:
    return [model.get_input_embeddings().weight, model.get_output_embeddings().weight]


@pytest.mark.parametrize(("tie", "spare"), [(True, 0), (False, 0), (False, 8)])
def test_only_the_new_rows_change_and_they_are_the_mean(tmp_path: Path, *, tie: bool, spare: int) -> None:
    import torch

    base = checkpoint(tmp_path, tie=tie, spare=spare)
    num = len(token_ids(base))
    made = add_tokens(base, [TAG, GOOD], tmp_path / "made")
    require_special_tokens(made, [TAG, GOOD])
    assert {TAG, GOOD} <= special_tokens(made).keys()
    assert chat_template(made) == "{{ 'own' }}"
    before, after = (load_model(each, profile=BuildProfile()) for each in (base, made))
    ids = [after.tokenizer.convert_tokens_to_ids(token) for token in (TAG, GOOD)]
    assert ids == [num, num + 1]
    assert after.tokenizer("bread is" + TAG + " baked")["input_ids"].count(num) == 1
    for old, new in zip(embeddings(before.model), embeddings(after.model), strict=True):
        assert len(new) == num + max(2, spare)
        assert torch.equal(new[:num], old[:num])
        torch.testing.assert_close(new[num], old[:num].mean(dim=0), atol=1e-6, rtol=0)
        assert torch.equal(new[num], new[num + 1])
    read = torch.tensor([before.tokenizer("bread is baked at home")["input_ids"]])
    with torch.no_grad():
        logits = [each.model(read).logits[..., :num] for each in (before, after)]
    assert torch.equal(*logits)
    own = {
        name: value for name, value in before.model.state_dict().items() if "embed" not in name and "head" not in name
    }
    assert all(torch.equal(after.model.state_dict()[name], value) for name, value in own.items())
    assert json.loads((made / "config.json").read_text())["vocab_size"] == num + max(2, spare)


def test_the_type_of_the_weights_stays(tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    base = checkpoint(tmp_path, tie=True)
    AutoModelForCausalLM.from_pretrained(str(base), dtype=torch.bfloat16).save_pretrained(base)
    add_tokens(base, [TAG], tmp_path / "made")
    assert AutoModelForCausalLM.from_pretrained(str(tmp_path / "made"), dtype="auto").dtype == torch.bfloat16


def test_what_cannot_be_added_is_named_and_leaves_nothing_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = checkpoint(tmp_path, tie=True)
    for tokens, message in (
        ([], "one or more"),
        ([TAG, TAG], "each once"),
        ([" a"], "white space"),
        (["<|end|>"], "has"),
    ):
        with pytest.raises(DataError, match=message):
            add_tokens(base, tokens, tmp_path / "made")
    with pytest.raises(StudyError, match="exists already"):
        add_tokens(base, [TAG], base)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["base", "tokenizer"]
    with pytest.raises(DataError, match="give an existing checkpoint the token with upbringing add-tokens"):
        require_special_tokens(base, [TAG])
    add_tokens_verb(base, tmp_path / "made", [TAG])
    assert capsys.readouterr().out.strip() == str(tmp_path / "made")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["base", "made", "tokenizer"]


def test_the_command_prints_the_folder_as_json_and_nothing_else(tmp_path: Path) -> None:
    base = checkpoint(tmp_path, tie=True)
    command = [sys.executable, "-c", "from upbringing.cli import main; main()", "add-tokens", str(base)]
    words = [*command, str(tmp_path / "made"), "--token", TAG, "--json"]
    found = subprocess.run(words, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout) == {"folder": str(tmp_path / "made")}
    again = subprocess.run(words, capture_output=True, text=True)
    assert (again.returncode, again.stdout) == (2, "")
    assert "exists already" in again.stderr


def test_a_checkpoint_that_lacks_a_weight_is_not_completed_with_random_numbers(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    base = checkpoint(tmp_path, tie=True)
    tensors = load_file(base / "model.safetensors")
    del tensors[next(name for name in tensors if "q_proj" in name)]
    save_file(tensors, base / "model.safetensors", {"format": "pt"})
    with pytest.raises(IntegrityError, match="lacks the weights"):
        add_tokens(base, [TAG], tmp_path / "made")
    assert not (tmp_path / "made").exists()
