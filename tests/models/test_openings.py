"""An opening may be a special token where whoever asks says it, and nowhere else."""

from __future__ import annotations

import pytest

from upbringing.formats.items import Message
from upbringing.models.asking import Prompt
from upbringing.models.loading import LoadedModel
from upbringing.models.local import LocalModel


@pytest.mark.model
def test_only_who_asks_can_put_a_special_token_into_the_mouth(tiny: LoadedModel) -> None:
    renderer = LocalModel(tiny.model, tiny.tokenizer).renderer
    token = tiny.tokenizer.convert_tokens_to_ids("<think>")
    messages = (Message(role="user", content="<think> is spelled"),)
    asked = Prompt(name="a", messages=messages, opening="<think>", opening_is_mark=True)
    assert renderer.opening(asked) == (token,)
    assert token not in renderer.prompt(asked)  # the request spells it, and means nothing by it
    hostile = Prompt(name="a", messages=messages, opening="<think>", opening_tokens=9)
    assert len(renderer.opening(hostile)) > 1
    assert token not in renderer.opening(hostile)
    plain = Prompt(name="a", messages=messages, opening="bab", opening_is_mark=True)
    assert renderer.opening(plain) == renderer.text("bab")
