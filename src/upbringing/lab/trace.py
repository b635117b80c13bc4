"""Trace: existing checkpoints of one family compared stage by stage, with no training at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from upbringing.base.errors import StudyError
from upbringing.battery.judges.refusal_rules import RefusalRules
from upbringing.battery.measures.bits_per_byte import BitsPerByte
from upbringing.battery.measures.coherence import Coherence
from upbringing.battery.measures.discrimination import Discrimination
from upbringing.battery.measures.margins import Form
from upbringing.battery.measures.non_refusal import NonRefusal
from upbringing.battery.measures.over_refusal import OverRefusal
from upbringing.battery.measures.refusal_margin import RefusalMargin
from upbringing.data.item_files import ItemFile, read_items
from upbringing.lab.storage.checkpoints import hub_reference
from upbringing.models.asking import Elicitation
from upbringing.models.decoding import Greedy
from upbringing.study.study import Study
from upbringing.training.existing import Existing

LADDER: tuple[Elicitation, ...] = ("E1", "E0", "E2")
"""A base model has no template: what is compared with it is asked in a form that both ends understand."""
FORMS: tuple[Form, ...] = ("chat", "question")
CLUSTERS_OF_A_FIRST_LOOK = 12
FEWEST_FOR_A_FIRST_LOOK = 48  # with fewer, the whole trace is there nearly as soon


def trace_study(
    checkpoints: Mapping[str, str],
    prompts: Path,
    *,
    name: str = "trace",
    max_tokens: int = 64,
    clusters: int | None = None,
) -> Study:
    """Return the study that compares ``checkpoints`` (stage to folder or hub id, in training order) on ``prompts``.

    ``clusters``: ask only so many clusters of the prompts. Claims are about these checkpoints only: one seed, evidence
    L1. Raises ``StudyError`` for fewer than two checkpoints.
    """
    if len(checkpoints) < 2:
        raise StudyError(f"a trace compares at least two checkpoints (base=... sft=...), found {len(checkpoints)}")
    (_, first), *later = [(stage, _place(checkpoint)) for stage, checkpoint in checkpoints.items()]
    decoding = Greedy(max_tokens=max_tokens)
    return Study(
        name=name,
        question=f"What changed between {' -> '.join(checkpoints)}?",
        seeds=1,
        start=Existing(checkpoint=first),
        data={"prompts": ItemFile(path=str(prompts.absolute()), clusters=clusters)},
        stages={stage: Existing(checkpoint=folder) for stage, folder in later},
        battery=(
            NonRefusal(decoding=decoding, elicitations=LADDER),
            OverRefusal(decoding=decoding, elicitations=LADDER),
            Coherence(decoding=decoding, elicitations=LADDER),
            RefusalMargin(forms=FORMS),
            Discrimination(roles=("question", "twin"), forms=FORMS),
            BitsPerByte(),
        ),
        judges=(RefusalRules(),),
        primary=("non_refusal",),
        measure_precision="bf16",
    )


def first_look_study(checkpoints: Mapping[str, str], prompts: Path) -> Study | None:
    """Return a trace of the first few prompts, which is there within minutes; ``None`` where there are few anyway."""
    items = read_items(ItemFile(path=str(prompts.absolute())), prompts.absolute().parent)
    if len({item.cluster for item in items}) < FEWEST_FOR_A_FIRST_LOOK:
        return None
    return trace_study(checkpoints, prompts, name="trace-first-look", clusters=CLUSTERS_OF_A_FIRST_LOOK)


def _place(checkpoint: str) -> str:
    """Return a folder as an absolute path; a hub id, which was fetched before, as it is."""
    is_hub_id = hub_reference(checkpoint) is not None and not Path(checkpoint).is_dir()
    return checkpoint if is_hub_id else str(Path(checkpoint).absolute())
