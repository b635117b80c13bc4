"""Chat templates in a box: good ones pass, hostile ones are stopped and named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from upbringing.base.errors import DataError
from upbringing.data.boxed_template import require_harmless, template_error
from upbringing.data.tokenizer import CHAT_TEMPLATE, chat_template, tokenizer_sha256

HOSTILE = {
    "internals": ("{{ ''.__class__.__mro__ }}", "must not"),
    "endless": ("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", "processor time"),
    "memory": ("{{ 'a' * 1000000000 }}", "memory"),
    "long": ("{{ 'a' * 2000000 }}", "2,000,000 characters"),
    "syntax": ("{% for m in messages %}", "line 1"),
    "loops when a chat is whole": (
        "{% if not add_generation_prompt %}{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}"
        "{% endfor %}{% endif %}{{ messages[0].content }}",
        "processor time",
    ),
    "refuses": ("{{ raise_exception('never') }}", "never"),
}


def test_our_own_template_passes() -> None:
    assert template_error(CHAT_TEMPLATE) is None


def test_a_template_may_refuse_system_turns() -> None:
    source = (
        "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}{{ messages[0].content }}"
    )
    assert template_error(source) is None


def test_a_template_finds_what_transformers_gives() -> None:
    source = (
        "{% if tools is not none %}{{ tools | tojson }}{% endif %}{{ bos_token + unk_token + messages[0].content }}"
    )
    assert template_error(source) is None


def test_of_several_templates_the_default_is_tried(tmp_path: Path) -> None:
    several = [{"name": "tool_use", "template": "b"}, {"name": "default", "template": "a"}]
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": several}))
    assert chat_template(tmp_path) == "a"
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": several[:1]}))
    with pytest.raises(DataError, match="none of them named default"):
        chat_template(tmp_path)


def test_a_template_that_transformers_would_take_instead_is_refused(tmp_path: Path) -> None:
    (tmp_path / "chat_template.jinja").write_text("a")
    more = tmp_path / "additional_chat_templates"
    more.mkdir()
    (more / "tool_use.jinja").write_text("b")
    assert chat_template(tmp_path) == "a"
    (more / "default.jinja").write_text(HOSTILE["endless"][0])
    with pytest.raises(DataError, match=r"additional_chat_templates \(default, tool_use\), which go before its own"):
        chat_template(tmp_path)
    (more / "default.jinja").unlink()
    (tmp_path / "chat_template.jinja").unlink()
    with pytest.raises(DataError, match="which go before its own"):
        chat_template(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", "\udcff"])
def test_a_torn_configuration_of_a_tokenizer_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "tokenizer_config.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(DataError, match=r"chat template of .* cannot be read"):
        chat_template(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(DataError, match=r"tokenizer\.json is no JSON"):
        tokenizer_sha256(tmp_path)


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_template_is_stopped_and_named(kind: str) -> None:
    source, expected = HOSTILE[kind]
    found = template_error(source)
    assert found is not None
    assert expected in found


def test_the_error_names_the_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="chat template of evil cannot be used"):
        require_harmless(HOSTILE["endless"][0], tmp_path / "evil")
    require_harmless(None, tmp_path / "evil")
