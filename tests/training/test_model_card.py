"""The card of a checkpoint names sources and teachers of foreign data; none of them can be markup."""

from __future__ import annotations

from upbringing.formats.record import Record, SourceTokens
from upbringing.training.publish import model_card

HOSTILE = "web | 0 |\n\n# Trusted\n<img src=x onerror=alert(1)> [click](javascript:alert(1))"


def test_no_name_out_of_data_is_markup() -> None:
    source = SourceTokens(
        source=HOSTILE, realised_tokens=5, supervised_tokens=4, examples=3, repetition=1.0, teachers=(HOSTILE,)
    )
    card = model_card(Record(id="a", parent=None, kind="sft", stage="sft", recipe={}, sources=(source,)))
    assert "<img" not in card
    assert "[click](" not in card
    assert "\n# Trusted" not in card
    (line,) = [each for each in card.splitlines() if "Trusted" in each]
    assert line.replace("\\|", "").count("|") == 7  # six cells
    assert "web" in line
