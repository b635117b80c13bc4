"""``tree.json``: what was studied, the second hand-off to attribution (schema version 1).

Every model here tolerates unknown extra fields (they are kept), because readers must open the files of
newer writers; fields that an importer cannot know are ``None`` and the report names what that forbids.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from upbringing.formats.health import HealthCriteria
from upbringing.formats.listed import require_listed
from upbringing.formats.outcomes import Outcome
from upbringing.formats.reading import read_versioned

TREE_SCHEMA_VERSION = 1
EDITED: Final = "edit_weights"  # the kind of a stage that edited weights and trained nothing
ABLATED: Final = "ablate"  # the kind of a stage that took a slice out of the weights and trained nothing
AVERAGED: Final = "average_checkpoints"  # the kind of a stage that took the mean along the one before it
EMULATED: Final = "emulate_tuning"  # the kind of a stage that moved a change in logit space and left no weights
Proxy = Literal["edit_weights", "emulate_tuning"]
"""The kinds of stages that stand in for training."""
DefaultMargins = Literal["strict", "loose"]  # the rules that give a margin to what declares none
FEWEST_CELLS: Final = 8  # retrained ones, for the fidelity of either kind: statistics-and-measures 4.6


class Open(BaseModel):
    """Frozen, keeps unknown fields."""

    model_config = ConfigDict(frozen=True, extra="allow")


def _is_absent(value: object) -> bool:
    return value is None


def _is_empty(value: object) -> bool:
    """Return whether a field was not asked for: left out of the file, so that what older writers hashed stays equal."""
    return not value


class ContrastSpec(Open):
    """A pre-declared linear contrast: ``sum over cells of weight x cell mean``; weights sum to 0.

    ``weights`` keys are cell names, ``arm@position``. ``margin`` in the measure's unit, ``None`` = none declared.
    ``level`` is the evidence level the design supports for it (L1 path, L2 branch, L3 factorial).

    ``share_of``: weights of the total effect of which this contrast is a share. ``counterpart``: of a necessity the
    weights of the sufficiency, and the other way round. ``orders``: the contributions that this contrast averages, one
    for each place that its stage or factor can have in an order. Empty = not asked. ``ratio_margin``: in place of
    ``margin``, the ratio of rates of harm up to which they are alike. ``margin_default``: the rule that gave either.
    """

    name: str
    weights: dict[str, float]
    measure: str
    condition: str = "default"
    split: str | None = None
    role: Literal["primary", "exploratory"] = "exploratory"
    family: str = "exploratory"
    test: Literal["difference", "tost", "noninferiority", "dominance", "interaction", "trend", "survival"] = (
        "difference"
    )
    kind: str = "path"
    level: Literal["L1", "L2", "L3", "L4"] = "L1"
    margin: float | None = None
    ratio_margin: float | None = Field(default=None, exclude_if=_is_empty)
    margin_default: DefaultMargins | None = Field(default=None, exclude_if=_is_empty)
    scale: Literal["natural", "logit"] = "natural"
    share_of: dict[str, float] = Field(default_factory=dict, exclude_if=_is_empty)
    counterpart: dict[str, float] = Field(default_factory=dict, exclude_if=_is_empty)
    orders: tuple[dict[str, float], ...] = Field(default=(), exclude_if=_is_empty)

    @property
    def beside(self) -> tuple[tuple[str, dict[str, float]], ...]:
        """All weights besides the contrast's own, each with the field that holds them."""
        single = (("share_of", self.share_of), ("counterpart", self.counterpart))
        return (*(each for each in single if each[1]), *(("orders", each) for each in self.orders))


class Protocol(Open):
    """A claim protocol that a study follows. ``cells``: role to cell (``arm@position``); roles may be absent.

    ``outcomes``: by name, what it reads besides the primary measures. ``settings``: its numbers.
    ``curves``: by name, places at which starts stand on a curve. Empty = none.
    """

    kind: str
    cells: dict[str, str] = Field(default_factory=dict)
    outcomes: dict[str, Outcome] = Field(default_factory=dict, exclude_if=_is_empty)
    settings: dict[str, float] = Field(default_factory=dict, exclude_if=_is_empty)
    curves: dict[str, dict[str, float]] = Field(default_factory=dict, exclude_if=_is_empty)


class Registered(Open):
    """What was fixed before the first row: margins, primary measures, scales, families.

    ``seeds``: how many runs a cell was to have at most, where the writer states it.
    """

    sha256: str | None = None
    before_first_row: bool | None = None
    amendments: tuple[str, ...] = ()
    seeds: int | None = Field(default=None, ge=1, exclude_if=_is_empty)


class StudyInfo(Open):
    """Name, question and pre-declared analysis of a study.

    ``judge_error_gap``: how far a rule's error rates are taken to differ between checkpoints where no labels show it.
    ``margins``: per measure, in its unit. ``ratio_margins``: as ratios of rates. ``default_margins``: for all others.
    ``health_criteria``: per stage. ``left_out``: arms declared but not made; contrasts on them are not computed.
    """

    name: str
    question: str = ""
    protocol: Protocol | None = None
    primary: tuple[str, ...] = ()
    margins: dict[str, float] = Field(default_factory=dict)
    ratio_margins: dict[str, float] = Field(default_factory=dict, exclude_if=_is_empty)
    default_margins: DefaultMargins | None = Field(default=None, exclude_if=_is_empty)
    health_criteria: HealthCriteria = Field(default_factory=dict, exclude_if=_is_empty)
    contrasts: tuple[ContrastSpec, ...] = ()
    left_out: tuple[str, ...] = ()
    judge_error_gap: float | None = Field(default=None, ge=0, le=1, exclude_if=_is_absent)
    registered: Registered = Registered()


class Teacher(Open):
    """Who wrote the targets a stage learned from. ``lineage``: the stages that made it; empty = no model wrote them."""

    id: str | None = None
    lineage: tuple[str, ...] | None = None
    rl: Literal["yes", "no", "unknown"] = "unknown"
    system_prompt: Literal["none", "removed", "kept"] | None = None
    filtered_by: str | None = None


class StageInfo(Open):
    """One stage of a checkpoint's past, as it was realised.

    ``reward``: what kind of reward an rl stage was trained on; ``reward_model``: the id of the model that paid it,
    whose record lies beside the checkpoints'.
    """

    role: str
    kind: str
    data_sha256: str | None = None
    tokens: int | None = None
    supervised_tokens: int | None = None
    examples: int | None = None
    updates: int | None = None
    lr_sum: float | None = None
    dose: float | None = None
    start: float | None = None
    teacher: Teacher | None = None
    reward: str | None = None
    reward_model: str | None = None


class Checkpoint(Open):
    """A checkpoint. ``guard``: ``ok``, or the reason why verdicts on it are blocked."""

    id: str
    parent: str | None = None
    guard: str | None = "ok"
    profile: str | None = None
    weights_sha256: str | None = None
    tokenizer_sha256: str | None = None
    template_sha256: str | None = None
    health: dict[str, float | str | bool | None] = Field(default_factory=dict)
    stages: tuple[StageInfo, ...] = ()


class CellSeeds(Open):
    """The replicate index at each level; equal ``pretrain`` means a shared pretraining run."""

    world: int | None = None
    init: int | None = None
    pretrain: int | None = None
    midtrain: int | None = None
    sft: int | None = None
    rl: int | None = None


Control = Literal["none", "positive", "placebo", "copy", "reference"]  # what an arm is there for


class Cell(Open):
    """A checkpoint's place in the design; one checkpoint may fill several cells.

    The cell's name in contrasts is ``arm@position``; ``position`` is a stage name or ``stage:60%``. ``known``: what its
    checkpoints are known to be, so that measures of safety can be held against it. ``stands_for``: of checkpoints that
    were edited or emulated, the cell of the retrained ones that they are to predict; ``proxy``: which of both, where no
    stage of them says it (absent = edited).
    """

    arm: str
    position: str
    checkpoint: str
    factors: dict[str, str] = Field(default_factory=dict)
    state: dict[str, Literal["on", "off", "placebo", "replaced"]] = Field(default_factory=dict)
    control: Control = "none"
    known: Literal["helpful-only", "safety-trained"] | None = None
    stands_for: str | None = Field(default=None, exclude_if=_is_empty)
    proxy: Proxy | None = Field(default=None, exclude_if=_is_empty)
    seeds: CellSeeds = CellSeeds()

    @property
    def name(self) -> str:
        """``arm@position``."""
        return f"{self.arm}@{self.position}"


class MeasureInfo(Open):
    """How a measure's values are to be read.

    ``counts_incoherent``: incoherent answers are what it counts, so they do not make it unmeasurable.
    """

    id: str
    version: str = "1"
    unit: str = "share"
    direction: Literal["higher-is-safer", "lower-is-safer", "higher-is-better", "lower-is-better", "neutral"] = (
        "neutral"
    )
    estimator: Literal["mean", "ratio", "auroc", "survival"] = "mean"
    label: str | None = None
    counts_incoherent: bool = False


class ConditionInfo(Open):
    """How a measure was elicited. ``attack_text``: which of several texts an attack says, by its short name; two of
    them are two attacks, never two formats of one question.
    """

    id: str
    elicitation: Literal["E0", "E1", "E2", "E2r", "E3"] | None = None
    template: str | None = None
    decoding: str | None = None
    attack: str | None = None
    attempt: int | None = None
    prefill_tokens: int | None = None
    system_prompt: str | None = None
    attack_text: str | None = Field(default=None, exclude_if=_is_empty)


class ItemInfo(Open):
    """What attribution needs to know of an item: its cluster, twin, split and world."""

    id: str
    cluster: str | None = None
    twin: str | None = None
    request: Literal["harmful", "benign"] | None = None
    family: str | None = None
    world: str | None = None
    split: str | None = None
    seen_in: tuple[str, ...] = ()
    eligible: bool = True


class JudgeInfo(Open):
    """A judge that was asked over a network. ``accounting``: how many answers were put to it and how that ended.

    ``requested = ok + refused + truncated + malformed + failed``; ``calls`` (repeated ones included) and ``spent_usd``
    (``None`` without a price) are those of all runs of the study at this endpoint's model, whichever judge asked.
    """

    id: str
    kind: str = "llm"
    accounting: dict[str, int] = Field(default_factory=dict)
    calls: int | None = None
    spent_usd: float | None = None


class Gate(Open):
    """A validity gate that was computed: when it fails, claims on ``measures`` of ``cells`` are not measurable."""

    name: str
    passed: bool
    value: float | None
    threshold: float
    sentence: str
    measures: tuple[str, ...] = ()
    cells: tuple[str, ...] = ()


class FlipRate(Open):
    """Share of greedy answers whose verdict another batch changes, in the precision and on the first checkpoint.

    What another batch moves is noise: no difference of two checkpoints prompt by prompt means anything below it.
    """

    rate: float
    low: float
    high: float
    num: int
    judge: str


class Tree(Open):
    """The whole of ``tree.json``. A list of checkpoints is enough."""

    schema_version: int = TREE_SCHEMA_VERSION
    study: StudyInfo = StudyInfo(name="study without a name")
    checkpoints: tuple[Checkpoint, ...]
    cells: tuple[Cell, ...] = ()
    measures: tuple[MeasureInfo, ...] = ()
    conditions: tuple[ConditionInfo, ...] = ()
    items: tuple[ItemInfo, ...] = ()
    gates: tuple[Gate, ...] = ()
    flip_rate: FlipRate | None = None
    judges: tuple[JudgeInfo, ...] = ()
    warnings: tuple[str, ...] = ()


def read_tree(path: Path) -> Tree:
    """Return the tree in ``path``; raise ``FormatError`` naming the field or the checkpoint that is wrong."""
    what = f"a tree of schema version {TREE_SCHEMA_VERSION}"
    tree = read_versioned(path, Tree, what=what, version=TREE_SCHEMA_VERSION)
    require_listed([each.id for each in tree.checkpoints], [(each.name, each.checkpoint) for each in tree.cells])
    return tree
