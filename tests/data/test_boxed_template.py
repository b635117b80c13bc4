"""Chat templates in a box: good ones pass, hostile ones are stopped and named."""

from __future__ import annotations

from pathlib import Path

import pytest

from upbringing.base.errors import DataError
from upbringing.data.boxed_template import require_harmless, template_error
from upbringing.data.tokenizer import CHAT_TEMPLATE

HOSTILE = {
    "internals": ("{{ ''.__class__.__mro__ }}", "must not"),
    "endless": ("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", "processor time"),
    "memory": ("{{ 'a' * 1000000000 }}", "memory"),
    "long": ("{{ 'a' * 2000000 }}", "2,000,000 characters"),
    "syntax": ("{% for m in messages %}", "line 1"),
    "refuses": ("{{ raise_exception('never') }}", "never"),
}


def test_our_own_template_passes() -> None:
    assert template_error(CHAT_TEMPLATE) is None


def test_a_template_may_refuse_system_turns() -> None:
    source = (
        "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}{{ messages[0].content }}"
    )
    assert template_error(source) is None


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
