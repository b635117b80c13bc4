"""The scenarios that the suite runs, D0 to D19, each by the name of what it plants."""

from __future__ import annotations

from dataclasses import replace

from upbringing.validation.process import HIGH, Noise
from upbringing.validation.scenarios import (
    INTERACTION,
    MAIN_EFFECT,
    NECESSITY,
    SUFFICIENCY,
    Incoherence,
    PlantedCell,
    PlantedContrast,
    Scenario,
    factorial,
    pair,
    path,
    two_cells,
)

NULL_RATE, EFFECT = 0.42, 0.26  # the rate and the effect at which statistics-and-measures 7.4 was run


def _pair(name: str, title: str, rates: tuple[float, float], **changes: object) -> Scenario:
    cells, contrasts = pair(*rates)
    return replace(Scenario(id=name, title=title, cells=cells, contrasts=contrasts), **changes)  # type: ignore[arg-type]


def _path(name: str, title: str, *rates: float) -> Scenario:
    cells, contrasts = path(*rates)
    return Scenario(id=name, title=title, cells=cells, contrasts=contrasts)


def _factorial(name: str, title: str, *rates: float) -> Scenario:
    contrasts = (INTERACTION, NECESSITY, SUFFICIENCY, MAIN_EFFECT)
    return Scenario(id=name, title=title, cells=factorial(*rates), contrasts=contrasts)


NULL = _pair("D0", "null stage", (NULL_RATE, NULL_RATE))
EFFECTIVE = _pair("D1", "one stage that changes the rate by 0.26", (NULL_RATE, NULL_RATE + EFFECT))
NULL_PATH = _path("D0", "four null stages in a chain", *([NULL_RATE] * 5))
ONE_CAUSE = _path("D1", "one causing stage in a chain of three", 0.30, 0.30, 0.62, 0.62)
SPLIT = _path("D2", "70/30 split of a total of 0.60", 0.15, 0.57, 0.75)
SYNERGY = _factorial("D3", "synergy: neither stage alone", 0.40, 0.40, 0.40, 0.70)
REDUNDANCY = _factorial("D4", "redundancy: either stage suffices", 0.30, 0.65, 0.65, 0.65)
EROSION = _path("D5", "erosion: the last stage takes back half", 0.20, 0.70, 0.45)
CEILING = _path("D6", "ceiling: the ranking of stages depends on the scale", 0.30, 0.70, 0.95)
ORDER = _factorial("D7", "order effect: a stage does more when it comes first", 0.25, 0.60, 0.50, 0.70)
SHARED_ROOT = _pair(
    "D8", "runs branch off shared pretraining runs", (NULL_RATE,) * 2, noise=Noise(root=HIGH, cell_run=HIGH)
)
BRANCHED = _pair(
    "D8", "runs branch off one pretraining run that is given", (NULL_RATE,) * 2, noise=Noise(cell_run=HIGH)
)

JUDGE_CELLS, JUDGE_CONTRASTS = two_cells(
    PlantedCell(arm="before", rate=0.50, sensitivity=0.90, specificity=0.90),
    PlantedCell(arm="after", rate=0.50, sensitivity=0.66, specificity=0.90),
    "after - before",
)
JUDGE_DRIFT = Scenario(id="D9", title="the judge errs more on one cell", cells=JUDGE_CELLS, contrasts=JUDGE_CONTRASTS)
JUDGE_DRIFT_WHERE_MUCH_HARMS = replace(
    JUDGE_DRIFT,
    title="the judge errs more on one cell, and nearly all answers harm",
    cells=tuple(replace(cell, rate=0.90) for cell in JUDGE_CELLS),
)
EVEN_JUDGE = replace(
    JUDGE_DRIFT,
    title="the judge errs alike on both cells, and one harms far more",
    cells=tuple(
        replace(cell, rate=rate, sensitivity=0.90) for cell, rate in zip(JUDGE_CELLS, (0.20, 0.80), strict=True)
    ),
)
JUDGE_EFFECT = replace(
    JUDGE_DRIFT,
    title="the judge errs more on one cell, which harms less",
    cells=(JUDGE_CELLS[0], replace(JUDGE_CELLS[1], rate=0.24)),
)

BASE_CELLS, BASE_CONTRASTS = two_cells(
    PlantedCell(arm="main", position="pretrain", rate=0.50, incoherent=Incoherence(share=0.60)),
    PlantedCell(arm="main", position="sft", rate=0.50, incoherent=Incoherence(share=0.02)),
    "sft",
)
INCOHERENT_BASE = Scenario(id="D10", title="the base answers incoherently", cells=BASE_CELLS, contrasts=BASE_CONTRASTS)
RARE = _pair("D11", "rare harm", (0.005, 0.005))
RARE_EDGE = _pair("D11", "rare harm that becomes one and a half times as frequent", (0.01, 0.015))
RARE_FALL = _pair("D11", "rare harm that becomes two thirds as frequent", (0.015, 0.01))
RARE_TENFOLD = _pair("D11", "rare harm that becomes ten times as frequent", (0.002, 0.02))
OUTLIER = _pair("D12", "one run in ten is an outlier", (NULL_RATE,) * 2, noise=Noise(cell_run=HIGH, runs="outliers"))
CLUSTERED = _pair(
    "D13", "ten variants of each request", (NULL_RATE,) * 2, noise=Noise(cell_item=0.5, variant=0.5, run=0.15)
)

TEACHER_CELLS, _ = two_cells(
    PlantedCell(arm="plain_teacher", rate=0.35, rl_teacher=False),
    PlantedCell(arm="rl_teacher", rate=0.60, rl_teacher=True),
)
TEACHERS = Scenario(
    id="D14",
    title="the teacher was made by RL, whose effect the targets carry",
    cells=(*TEACHER_CELLS, PlantedCell(arm="rl_teacher", position="rl", rate=0.60, rl_teacher=True)),
    contrasts=(
        PlantedContrast(name="provenance", weights=(("rl_teacher@sft", 1.0), ("plain_teacher@sft", -1.0))),
        PlantedContrast(name="rl", weights=(("rl_teacher@rl", 1.0), ("rl_teacher@sft", -1.0)), kind="path", level="L1"),
    ),
)
ONE_TEACHER = replace(
    TEACHERS,
    cells=(PlantedCell(arm="rl_teacher", position="pretrain", rate=0.35), *TEACHERS.cells[1:]),
    contrasts=(
        PlantedContrast(name="sft", weights=(("rl_teacher@sft", 1.0), ("rl_teacher@pretrain", -1.0)), level="L1"),
        TEACHERS.contrasts[1],
    ),
)
SAME_RUNS = Noise(run=0.0, cell_run=0.0)  # two checkpoints whose rates are the same over all prompts
PEEKING = replace(NULL, id="D15", title="looking at the results after every few prompts", noise=SAME_RUNS)

UNEVEN_CELLS, UNEVEN_CONTRASTS = two_cells(
    PlantedCell(arm="steady", rate=NULL_RATE, cell_run=0.10), PlantedCell(arm="unsteady", rate=NULL_RATE, cell_run=0.60)
)
UNEVEN_RUNS = Scenario(id="D16", title="runs vary more in one cell", cells=UNEVEN_CELLS, contrasts=UNEVEN_CONTRASTS)

HIDING_CELLS, HIDING_CONTRASTS = two_cells(
    PlantedCell(arm="before", rate=NULL_RATE, incoherent=Incoherence(share=0.02)),
    PlantedCell(arm="after", rate=NULL_RATE, incoherent=Incoherence(share=0.04, slope=1.0)),
)
HIDING = Scenario(
    id="D17", title="one cell answers harmful prompts incoherently", cells=HIDING_CELLS, contrasts=HIDING_CONTRASTS
)
FAILED_RUNS = _pair("D18", "one run in seven failed", (NULL_RATE,) * 2, lost=1 / 7)
BIMODAL = _pair("D19", "runs end in one of two modes", (NULL_RATE,) * 2, noise=Noise(cell_run=HIGH, runs="bimodal"))

SAME_JUDGED = replace(JUDGE_EFFECT, title="two checkpoints, a judge that errs more on one", noise=SAME_RUNS)
EDGE = _pair("D1", "a change as large as the margin of 0.10", (NULL_RATE, NULL_RATE + 0.10))
APART = _pair("D1", "two checkpoints, 20% and 30% over all prompts", (0.20, 0.30), noise=SAME_RUNS)
SAME_CHECKPOINT = _pair(
    "A/A", "one checkpoint under two names", (NULL_RATE,) * 2, noise=replace(SAME_RUNS, cell_item=0.0)
)

SCENARIOS = (
    NULL,
    ONE_CAUSE,
    SPLIT,
    SYNERGY,
    REDUNDANCY,
    EROSION,
    CEILING,
    ORDER,
    SHARED_ROOT,
    JUDGE_DRIFT,
    INCOHERENT_BASE,
    RARE,
    OUTLIER,
    CLUSTERED,
    TEACHERS,
    PEEKING,
    UNEVEN_RUNS,
    HIDING,
    FAILED_RUNS,
    BIMODAL,
)
