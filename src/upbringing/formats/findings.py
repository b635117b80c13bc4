"""``findings.json``: what the rows say, the hand-off to report, gates and people (schema version 1)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from upbringing.formats.reading import read_versioned
from upbringing.formats.risk_ratio import RiskRatio
from upbringing.formats.tree import DefaultMargins, Proxy

FINDINGS_SCHEMA_VERSION = 1

Level = Literal["L1", "L2", "L3", "L4"]
Estimand = Literal["artefact", "recipe-given-start", "recipe"]
Verdict = Literal["changed", "negligible", "equivalent", "inconclusive", "not-measurable", "blocked"]


class Open(BaseModel):
    """Frozen, keeps unknown fields of newer writers."""

    model_config = ConfigDict(frozen=True, extra="allow")


def _is_absent(value: object) -> bool:
    """Return whether a field does not apply: left out of the file, so that files without it keep their bytes."""
    return value is None


def _is_empty(value: object) -> bool:
    """Return whether a list that does not apply is left out of the file."""
    return not value


class Units(Open):
    """How many independent things a number rests on."""

    items: int = 0
    clusters: int = 0
    seeds: int = 0
    roots: int = 0
    worlds: int = 0


class Spread(Open):
    """What a standard error over crossed prompts and runs is made of, as parts of its square.

    The square is ``max(items + runs - residual, items, runs) + added``; ``added``: what drawing human labels adds.
    """

    items: float
    runs: float
    residual: float
    items_df: float
    runs_df: float
    added: float = 0.0

    @property
    def variance(self) -> float:
        """The squared standard error."""
        return max(self.items + self.runs - self.residual, self.items, self.runs) + self.added


class Flips(Open):
    """Which items changed between two cells: ``rose`` + ``fell`` + ``kept`` = paired items."""

    rose: int
    fell: int
    kept: int


class OrderRange(Open):
    """The least and the most that a stage or factor contributes over the orders known of switching them on (estimates).

    ``is_wide``: wider than 0.2 of the total effect; ``None`` where the total is not distinguishable from 0.
    """

    low: float
    high: float
    is_wide: bool | None = None


class Corrected(Open):
    """A claim's number with the judge's errors taken out. ``power``: how far the judge was trusted, 0 to 1.

    ``labels``: labelled answers it rests on; ``seeds``: those whose checkpoints all have some. ``p`` is before the
    family's correction.
    """

    estimate: float
    low: float | None = None
    high: float | None = None
    df: float | None = None
    spread: Spread | None = None
    p: float | None = None
    bounds: dict[str, float] = Field(default_factory=dict)
    verdict: Verdict
    method: str
    power: float
    labels: int
    seeds: int


class Robustness(Open):
    """A claim's contrast by another estimator: ``multi-bootstrap`` (percentiles) or ``glmm`` (a mixed model).

    ``glmm``: log-odds given prompt and run, ``[low, high]`` by t with ``df`` (runs less one), Wald's beside it.
    ``agrees_sign``: ``None`` where neither interval leaves out zero, so that neither tells a sign.
    ``agrees_excludes_zero``: ``None`` where the model's own two intervals differ on it. ``reason``: why there is no
    number.
    """

    method: str
    scale: Literal["natural", "logit"] = "natural"
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    df: float | None = None
    wald_low: float | None = None
    wald_high: float | None = None
    agrees_sign: bool | None = None
    agrees_excludes_zero: bool | None = None
    reason: str = ""


class Claim(Open):
    """One number with everything that qualifies it.

    ``estimate``, ``low``, ``high`` and ``p`` are as the judge has it. Where human labels correct them (``corrected``),
    ``verdict``, ``p_adjusted`` and all that decides (margin, equivalence radius, smallest change) follow the corrected
    number. ``calibration``: ``uncalibrated`` where a judge that can err has no labels at all, ``None`` where no labels
    are needed. ``uncorrected``: why labels of this judge do not correct this claim; ``judge_band``: the interval
    widened by errors as different as on the labelled checkpoints. ``error_gap``: how far the error rates of a rule that
    no labels check were taken to differ between checkpoints; ``low``, ``high``, ``p`` and ``bounds`` allow for it.

    ``minimum_detectable``: the smallest change found with 80% power; of a primary claim at the first step of Holm in
    its family, as a plan states it.

    ``estimate``, ``low``, ``high`` are in ``unit`` (difference of means unless ``kind`` is ``level``) and
    ``None`` when the claim is not measurable or blocked, with ``blocked_by`` saying why. ``confidence`` is
    the two-sided coverage of ``[low, high]``.

    ``share_of``: weights of the total (estimate ``share_total``) of which ``share`` is a part; ``share`` is ``None``
    where it is undefined, and ``share_reason`` says why. It is never clipped: below 0 is erosion, and what exceeds 1 is
    undone by something else.
    ``scale_sensitive``: whether stages rank differently by their effects in log-odds; ``None`` where nothing is ranked
    or there are no log-odds. ``pattern``: ``overdetermined`` (enough alone, hardly missed), ``needs-others``, or
    ``differ`` (necessity and sufficiency are unlike, and no more is shown).

    ``dominance_reason``: why the dominance test is undecided where its scale does not exist; left out of other claims.

    ``robustness``: of a primary claim, what other estimators say of ``estimate`` before unscored answers widen it.

    ``teacher_separable``: whether the stages it is about can be told from the teachers whose answers they learned;
    ``None`` = no model's answers are known to stand between its cells.

    ``risk_ratio``: where a ratio of rates is what counts as alike; then ``margin`` is null, and ``beyond_margin`` and
    ``noninferior`` are about the ratio. ``margin_default``: the rule that gave the claim its margin, where none was
    declared; ``no_margin``: why that rule gave none. All three are left out of other claims.

    ``fidelity``: of a claim on edited weights or emulated tuning, whether such proxies predict retrained branches; left
    out of others. ``proxies``: the kinds of stages that made them.
    """

    id: str
    kind: str
    measure: str
    contrast: str
    weights: dict[str, float] = Field(default_factory=dict)
    condition: str = "default"
    split: str | None = None
    role: Literal["primary", "exploratory"] = "exploratory"
    family: str = "exploratory"
    level: Level = "L1"
    estimand: Estimand = "artefact"
    conditional_on: tuple[str, ...] = ()
    unit: str = "share"
    units: Units = Units()
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    df: float | None = None
    spread: Spread | None = None
    confidence: float = 0.95
    p: float | None = None
    p_adjusted: float | None = None
    scale: Literal["natural", "logit"] = "natural"
    other_scale: dict[str, Any] = Field(default_factory=dict)
    unscored: int = 0
    bounds: dict[str, float] = Field(default_factory=dict)
    verdict: Verdict | None = None
    blocked_by: tuple[str, ...] = ()
    margin: float | None = None
    beyond_margin: Literal["yes", "no", "undecided"] | None = None
    equivalence_radius: float | None = None
    noninferior: Literal["yes", "no", "undecided"] | None = None
    dominance: Literal["yes", "no", "undecided"] | None = None
    dominance_reason: str | None = Field(default=None, exclude_if=_is_absent)
    minimum_detectable: float | None = None
    noise_floor: float | None = None
    flips: Flips | None = None
    share: float | None = None
    share_low: float | None = None
    share_high: float | None = None
    share_of: dict[str, float] = Field(default_factory=dict)
    share_total: float | None = None
    share_reason: str | None = None
    scale_sensitive: bool | None = None
    order_range: OrderRange | None = None
    pattern: Literal["overdetermined", "needs-others", "differ"] | None = None
    per_judge: tuple[dict[str, Any], ...] = ()
    judge_robust: bool | None = None
    judge: str | None = None
    calibration: Literal["corrected", "uncorrected", "uncalibrated"] | None = None
    corrected: Corrected | None = None
    uncorrected: str | None = None
    judge_band: dict[str, float] = Field(default_factory=dict)
    error_gap: float | None = Field(default=None, exclude_if=_is_absent)
    assay: str | None = None
    teacher_separable: bool | None = None
    robustness: tuple[Robustness, ...] = ()
    risk_ratio: RiskRatio | None = Field(default=None, exclude_if=_is_absent)
    margin_default: DefaultMargins | None = Field(default=None, exclude_if=_is_absent)
    no_margin: str = Field(default="", exclude_if=_is_empty)
    fidelity: Literal["faithful", "unfaithful", "uncalibrated"] | None = Field(default=None, exclude_if=_is_absent)
    proxies: tuple[Proxy, ...] = Field(default=(), exclude_if=_is_empty)
    sentence: str = ""
    checkpoints: tuple[str, ...] = ()


Decision = Literal["supported", "refuted", "not-decided"]


class PartMeasure(Open):
    """What one part of a protocol says of one primary measure.

    ``low``, ``high``: the interval corrected by Holm for everything the part asks, where the margin decides.
    ``reason``: why it is not decided, or by what it is refuted. ``set_aside``: the part is decided by other measures,
    because what it compares moves this one neither way. ``ratio``: of a part that asks for one, with its uncorrected
    95% set as ``low`` and ``high``; left out of others. ``ratio_margin``: where a ratio of rates decides, the ratio it
    is held against; then ``low``, ``high`` (null = not bounded) and ``equivalence_radius`` are of the ratio.
    """

    claims: tuple[str, ...] = ()
    verdict: Decision = "not-decided"
    reason: str = ""
    set_aside: bool = False
    low: float | None = None
    high: float | None = None
    equivalence_radius: float | None = None
    profile_ratio: float | None = None
    ratio: float | None = Field(default=None, exclude_if=_is_absent)
    ratio_margin: float | None = Field(default=None, exclude_if=_is_absent)


class ConclusionPart(Open):
    """One part of a protocol's conclusion. ``missing``: roles without a cell that would let it be decided."""

    claims: tuple[str, ...] = ()
    verdict: Decision = "not-decided"
    sentence: str = ""
    missing: tuple[str, ...] = ()
    measures: dict[str, PartMeasure] = Field(default_factory=dict)


class Conclusion(Open):
    """The answer of a claim protocol, part by part."""

    protocol: str
    parts: dict[str, ConclusionPart] = Field(default_factory=dict)
    verdict: Decision = "not-decided"
    qualifiers: tuple[str, ...] = ()
    rule_version: str = "1"
    sentence: str = ""


class Findings(Open):
    """The whole of ``findings.json``. ``tables`` holds the levels per cell that the report draws."""

    schema_version: int = FINDINGS_SCHEMA_VERSION
    study: str = ""
    question: str = ""
    claims: tuple[Claim, ...] = ()
    conclusions: tuple[Conclusion, ...] = ()
    tables: dict[str, Any] = Field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def read_findings(path: Path) -> Findings:
    """Return the findings in ``path``; raise ``FormatError`` naming the field that is wrong."""
    return read_versioned(path, Findings, what="a findings file", version=FINDINGS_SCHEMA_VERSION)
