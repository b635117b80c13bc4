"""What a study knows of the teachers of its stages: RL is handed on by whoever learned from it."""

from __future__ import annotations

import pytest

from upbringing.lab.stated_teachers import Past, stated_teacher

PASTS: dict[str, Past] = {
    "plain": (("pretrain", ()), ("sft", ("template",))),
    "rl": (("pretrain", ()), ("sft", ("template",)), ("rl", ())),
    "pupil-of-rl": (("pretrain", ()), ("sft", ("rl",))),
    "pupil-of-the-pupil": (("pretrain", ()), ("sft", ("pupil-of-rl", "template"))),
    "pupil-of-a-stranger": (("pretrain", ()), ("sft", ("stranger",))),
    "rl-and-a-stranger": (("sft", ("stranger",)), ("rl", ())),
}


@pytest.mark.parametrize(
    ("names", "rl", "lineage"),
    [
        (("template",), "no", ()),
        (("human", "plain"), "no", ("pretrain", "sft")),
        (("rl",), "yes", ("pretrain", "sft", "rl")),
        (("plain", "rl"), "yes", ("pretrain", "sft", "rl")),
        (("pupil-of-rl",), "yes", ("pretrain", "sft")),
        (("pupil-of-the-pupil",), "yes", ("pretrain", "sft")),
        (("pupil-of-a-stranger",), "unknown", ("pretrain", "sft")),
        (("rl-and-a-stranger",), "yes", ("sft", "rl")),
        (("stranger",), "unknown", None),
        (("rl", "stranger"), "yes", None),
    ],
)
def test_rl_is_handed_on(names: tuple[str, ...], rl: str, lineage: tuple[str, ...] | None) -> None:
    found = stated_teacher(names, PASTS)
    assert (found.id, found.rl, found.lineage) == ("+".join(names), rl, lineage)
