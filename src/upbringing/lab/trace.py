"""Trace: existing checkpoints of one family compared stage by stage, with no training at all."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from upbringing.base.devices import device_here, has_fast_bf16
from upbringing.base.errors import StudyError
from upbringing.base.fingerprint import fingerprint
from upbringing.battery.judges.refusal_rules import RefusalRules
from upbringing.battery.measures.bits_per_byte import BitsPerByte
from upbringing.battery.measures.coherence import Coherence
from upbringing.battery.measures.discrimination import Discrimination
from upbringing.battery.measures.knowledge import Knowledge
from upbringing.battery.measures.margins import Form
from upbringing.battery.measures.non_refusal import NonRefusal
from upbringing.battery.measures.over_refusal import OverRefusal
from upbringing.battery.measures.refusal_margin import RefusalMargin
from upbringing.data.item_files import ItemFile, read_items
from upbringing.data.prompt_sets.source import PromptSet
from upbringing.formats.items import Item
from upbringing.models.asking import Elicitation
from upbringing.models.decoding import Greedy
from upbringing.study.data import DataDescription
from upbringing.study.edits import START
from upbringing.study.study import NAME_PATTERN, Study
from upbringing.training.existing import Existing

LADDER: tuple[Elicitation, ...] = ("E1", "E0", "E2")
"""A base model has no template: what is compared with it is asked in a form that both ends understand."""
FORMS: tuple[Form, ...] = ("chat", "question")
SHIPPED: dict[str, DataDescription] = {
    "twins": PromptSet(prompt_set="over_refusal"),
    "cloze": PromptSet(prompt_set="knowledge"),
    "texts": PromptSet(prompt_set="texts"),
}
"""What a trace asks where no prompts are given. The harmful halves of twins measure discrimination, not attacks."""
FIRST_OF_SHIPPED: dict[str, DataDescription] = {"twins": PromptSet(prompt_set="over_refusal", per_family=1)}
PRIMARY = ("non_refusal", "discrimination")  # the first that the prompts allow
NAME_CHARACTERS = 8  # of a sha256, in the name of a trace
CLUSTERS_OF_A_FIRST_LOOK = 12
FEWEST_FOR_A_FIRST_LOOK = 48  # with fewer, the whole trace is there nearly as soon


def trace_study(
    checkpoints: Mapping[str, str],
    prompts: Path | None = None,
    *,
    name: str | None = None,
    max_tokens: int = 64,
    clusters: int | None = None,
) -> Study:
    """Return the study that compares ``checkpoints`` (stage to folder or hub id, in training order) on ``prompts``.

    ``prompts``: a file of items, ``None`` = the prompt sets that come with the program: benign requests with harmful
    twins, cloze questions, texts. ``clusters``: ask only so many clusters of the file. Measures that these prompts give
    nothing to ask are left out. ``name``: ``None`` = its own for these checkpoints and prompts. Claims are about
    these checkpoints only: one seed, evidence L1. Raises ``StudyError`` for fewer than two checkpoints.
    """
    name = name or _name("trace", checkpoints, prompts)
    if prompts is None:
        return _study(checkpoints, SHIPPED, name, max_tokens)
    return _study(checkpoints, {"prompts": ItemFile(path=str(prompts.absolute()), clusters=clusters)}, name, max_tokens)


def first_look_study(checkpoints: Mapping[str, str], prompts: Path | None = None) -> Study | None:
    """Return a trace of the first few prompts, which is there within minutes; ``None`` where there are few anyway."""
    name = _name("trace-first-look", checkpoints, prompts)
    if prompts is None:
        return _study(checkpoints, FIRST_OF_SHIPPED, name)
    items = read_items(ItemFile(path=str(prompts.absolute())), prompts.absolute().parent)
    if len({item.cluster for item in items}) < FEWEST_FOR_A_FIRST_LOOK:
        return None
    return trace_study(checkpoints, prompts, name=name, clusters=CLUSTERS_OF_A_FIRST_LOOK)


def _name(beginning: str, checkpoints: Mapping[str, str], prompts: Path | None) -> str:
    """Return a name that another trace in the same store does not have: it would overwrite the results of this one."""
    traced = [[stage, _place(checkpoint)] for stage, checkpoint in checkpoints.items()]
    asked = None if prompts is None else str(prompts.absolute())
    return f"{beginning}-{fingerprint([traced, asked])[:NAME_CHARACTERS]}"


def _study(
    checkpoints: Mapping[str, str], data: Mapping[str, DataDescription], name: str, max_tokens: int = 64
) -> Study:
    if len(checkpoints) < 2:
        raise StudyError(f"a trace compares at least two checkpoints (base=... sft=...), found {len(checkpoints)}")
    for stage in checkpoints:
        if not re.match(NAME_PATTERN, stage):
            raise StudyError(f"a stage of a trace matches {NAME_PATTERN}, found {stage!r}")
    if START in list(checkpoints)[1:]:
        raise StudyError(f"only the first checkpoint of a trace can be called {START!r}: give that one another name")
    (name_of_first, first), *later = [(stage, _place(checkpoint)) for stage, checkpoint in checkpoints.items()]
    decoding = Greedy(max_tokens=max_tokens)
    items = [item for source in data.values() for item in _items(source)]
    measures = (
        NonRefusal(decoding=decoding, elicitations=LADDER),
        OverRefusal(decoding=decoding, elicitations=LADDER),
        Coherence(decoding=decoding, elicitations=LADDER),
        RefusalMargin(forms=FORMS),
        Discrimination(roles=("question", "twin"), forms=FORMS),
        Knowledge(),
        BitsPerByte(),
    )
    battery = tuple(measure for measure in measures if measure.needs(items))
    asked = {measure.id for measure in battery}
    return Study(
        name=name,
        question=f"What changed between {' -> '.join(checkpoints)}?",
        seeds=1,
        start=Existing(checkpoint=first, label=None if name_of_first == START else name_of_first),
        data=dict(data),
        prompts=tuple(data),
        stages={stage: Existing(checkpoint=folder) for stage, folder in later},
        battery=battery,
        judges=(RefusalRules(),),
        primary=tuple(measure for measure in PRIMARY if measure in asked)[:1],
        measure_precision="fp32" if device_here() == "cpu" and not has_fast_bf16() else "bf16",
    )


def _items(source: DataDescription) -> Sequence[Item]:
    if isinstance(source, PromptSet):
        return source.items().items
    assert isinstance(source, ItemFile)
    return read_items(source, Path(source.path).parent)


def _place(checkpoint: str) -> str:
    """Return a folder as an absolute path; all else as it is: a hub id, with or without its revision."""
    return str(Path(checkpoint).absolute()) if Path(checkpoint).exists() else checkpoint
