"""``record.json``: what a checkpoint is, how it was made and what it scored when it was saved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from upbringing.base.description import Description
from upbringing.base.errors import IntegrityError

RECORD_SCHEMA_VERSION = 1
RECORD_NAME = "record.json"


MaskedAttention = Literal["eager", "sdpa"]
Attention = Literal["eager", "sdpa", "varlen"]
Device = Literal["cpu", "cuda"]


def _is_absent(value: object) -> bool:
    """Return whether a field was not asked for: left out of the file, so that records are as they were without it."""
    return value is None


class BuildProfile(Description):
    """The numerics of a study: chosen once, written to ``study.lock``, the same for all nodes.

    ``precision``: ``bf16`` = bf16 autocast over fp32 weights. ``attention``: ``varlen`` = packed windows are trained
    document by document. ``threads``: per process. ``versions``:
    of whatever can move a bit: libraries, and our own way to compile where that is done. ``activation_checkpointing``:
    layers keep no activations and compute them again in the backward pass: less memory, a third more work.
    """

    precision: Literal["fp32", "bf16"] = "fp32"
    attention: Attention = "eager"
    compile: bool = False
    threads: int = Field(default=1, ge=1)
    world_size: int = Field(default=1, ge=1)
    device: Device = "cpu"
    activation_checkpointing: bool = Field(
        default=False, exclude_if=lambda value: not value
    )  # keys stay what they were
    versions: dict[str, str] = Field(default_factory=dict)

    @property
    def masked_attention(self) -> MaskedAttention:
        """What computes all that is no packed window: ``varlen`` knows nothing else."""
        if self.attention != "varlen":
            return self.attention
        return "eager" if self.device == "cpu" else "sdpa"


class SourceTokens(BaseModel):
    """Planned against realised tokens of one data source in one stage, or in one phase of it.

    ``planned_tokens``: places in windows, padding included; realised tokens are text. They are planned only by stages
    whose length is declared in tokens (pretrain, midtrain); of the others, whose length follows from their data or is
    declared in steps, only the share is planned. Both planned fields are ``None`` where a data set holds several
    sources.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    source: str
    planned_share: float | None = None
    planned_tokens: int | None = None
    realised_tokens: int
    supervised_tokens: int
    examples: int
    repetition: float
    teachers: tuple[str, ...] = ()


class PhaseTokens(BaseModel):
    """What one phase of a stage was planned to read and read: the updates after ``first_step`` up to ``last_step``.

    ``learning_rate``: of its first update; ``peak_share``: that rate by the peak rate of the stage.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    first_step: int
    last_step: int
    learning_rate: float
    peak_share: float | None = None
    tokens: int
    sources: tuple[SourceTokens, ...] = ()


class LoadCheck(BaseModel):
    """The log-likelihood (nats, summed) of a fixed text under the saving library, re-scored at every load.

    ``quantity``: what ``log_likelihood`` holds; of a reward model it is the text's reward.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    token_ids: tuple[int, ...]
    log_likelihood: float
    quantity: Literal["log_likelihood", "reward"] = "log_likelihood"
    tolerance: float
    versions: dict[str, str] = Field(default_factory=dict)


class HeldOutLoss(BaseModel):
    """Loss (nats per learned token) on texts of a stage's own data that it never read, before and after the stage.

    ``standard_error``: of the mean difference, paired over windows. ``reason``: why there is no loss.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    before: float | None = None
    after: float | None = None
    standard_error: float | None = None
    num_windows: int = 0
    reason: str | None = None


class ReliabilityBin(BaseModel):
    """Pairs whose confidence lies in one tenth of [0.5, 1]: mean confidence, share ranked rightly, how many."""

    model_config = ConfigDict(frozen=True, extra="allow")

    confidence: float
    accuracy: float
    num_pairs: int


class RewardGroup(BaseModel):
    """How well a reward model ranks pairs of one policy and teacher; ``all`` = of every one.

    ``accuracy``: share whose chosen answer gets the higher reward, ties half. ``calibration_error``: expected, over the
    bins of max(p, 1 - p) with p = P(chosen). ``longer_wins``: share of pairs of unequal lengths whose longer answer
    gets the higher reward; ``longer_chosen``: share of them whose longer answer is the chosen one (both ``None`` where
    all lengths are equal).
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    policy: str
    teacher: str
    held_out: bool
    num_pairs: int
    accuracy: float
    calibration_error: float
    bins: tuple[ReliabilityBin, ...]
    mean_margin: float
    longer_wins: float | None = None
    longer_chosen: float | None = None


class RlUpdate(BaseModel):
    """The answers of one update. ``reward``: what was trained on; ``oracle``: the exact judge's on the same answers.

    ``varied``: share of prompts whose answers got different rewards. ``length``: mean tokens; ``tokens``: all of them.
    ``truncated``: share that never ended. ``divergence``: mean nats per token from the start of the stage, as the
    algorithm estimates it (``None`` without KL control). ``distinct``: mean share of a prompt's answers that differ.
    ``outcomes``: share of all answers per ``request/outcome``. ``None`` = nobody can say.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    step: int
    reward: float
    oracle: float | None
    varied: float
    length: float
    tokens: int
    truncated: float
    divergence: float | None
    distinct: float
    outcomes: dict[str, float] = Field(default_factory=dict)


class RlCurve(BaseModel):
    """The course of a stage of reinforcement learning: at most 200 updates, the first and the last among them.

    ``num_varied``: updates in which some prompt's answers got different rewards; the others taught nothing.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    updates: tuple[RlUpdate, ...]
    num_varied: int


class EmulatedPart(BaseModel):
    """A checkpoint that answers together with others. ``id``: its own, or of an existing one that of its content."""

    model_config = ConfigDict(frozen=True, extra="allow")

    id: str
    weights_sha256: str


class Emulated(BaseModel):
    """What answers in the place of weights: ``at`` with ``strength`` times the change from ``minus`` to ``plus``.

    ``shuffled``: seed of the control that moves the change to other tokens.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    at: EmulatedPart
    plus: EmulatedPart
    minus: EmulatedPart
    strength: float
    shuffled: int | None = None


@dataclass(frozen=True)
class LearnedTokens:
    """How often a checkpoint's whole lineage learned to give each special token. ``complete``: every stage says so."""

    counts: Mapping[str, int] = field(default_factory=dict)
    complete: bool = False

    def lacks(self, token: str) -> str | None:
        """Return the reason code why ``token`` means nothing to the checkpoint, ``None`` if it was learned."""
        if self.counts.get(token, 0) > 0:
            return None
        return "tag-never-trained" if self.complete else "tag-training-unknown"


class Record(BaseModel):
    """The whole of ``record.json``. Unknown fields of newer writers are kept.

    ``phases``: of a stage of documents, what each phase of it that was reached read; empty for other stages.
    ``weights_changed``: whether any weight differs from where the stage started; ``None`` = not noted. ``guard``: as
    the stage was declared when it was trained; a study judges the facts anew (``training.guards.record_guard``).
    ``special_tokens``: how often the stage learned to give each special token of the tokenizer (``None`` = not noted).
    ``reward_model``: how well a reward model ranks; ``rl``: what a policy's own answers were worth while it trained.
    ``emulated``: of a stage that leaves no weights, which checkpoints answer together; ``None`` = the weights are here.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    schema_version: int = RECORD_SCHEMA_VERSION
    id: str
    parent: str | None
    kind: str
    stage: str
    recipe: dict[str, Any]
    seed: int | None = None
    steps: int = 0
    total_steps: int = 0
    data_sha256: str | None = None
    sources: tuple[SourceTokens, ...] = ()
    phases: tuple[PhaseTokens, ...] = ()
    tokens: int = 0
    supervised_tokens: int = 0
    examples: int = 0
    special_tokens: dict[str, int] | None = None
    updates: int = 0
    learning_rate_sum: float = 0.0
    loss_curve: tuple[tuple[int, float], ...] = ()
    held_out: HeldOutLoss | None = None
    reward_model: tuple[RewardGroup, ...] = ()
    rl: RlCurve | None = None
    emulated: Emulated | None = Field(default=None, exclude_if=_is_absent)
    weights_sha256: str = ""
    tokenizer_sha256: str = ""
    template_sha256: str = ""
    load_check: LoadCheck | None = None
    weights_changed: bool | None = None
    guard: str = "ok"
    warnings: tuple[str, ...] = ()
    exact: bool = True
    profile: BuildProfile = BuildProfile()
    seconds: float = 0.0


def read_record(folder: Path) -> Record:
    """Return the record of the checkpoint in ``folder``; raise ``IntegrityError`` if it cannot be read."""
    path = folder / RECORD_NAME
    try:
        return Record.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise IntegrityError(f"{path} cannot be read as a record ({type(error).__name__}): rebuild the node") from error
