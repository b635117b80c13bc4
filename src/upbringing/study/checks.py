"""What a design will not be able to claim, said before anything is trained: confounds and missing controls."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from upbringing.formats.chat_protocol import missing_outcomes
from upbringing.formats.protocols import ALL_ROLE_WORDS, missing_roles
from upbringing.formats.tree import FEWEST_CELLS
from upbringing.study.lineage import Run
from upbringing.study.seeds import replicates
from upbringing.study.study import Study
from upbringing.study.tree import StudyTree
from upbringing.training.edit_weights import EditWeights
from upbringing.training.emulate_tuning import EmulateTuning
from upbringing.training.settings import TrainedStage
from upbringing.training.start import FreshStart

SEEDS_FOR_RECIPES = 3  # statistics-and-measures 2: recipe-level claims need three paired seeds
TOLERATED_SUPERVISION = 1.05  # texts of other words are never supervised on exactly as many tokens


def design_warnings(
    study: Study,
    tree: StudyTree,
    realised_steps: Mapping[str, int] | None = None,
    supervised: Mapping[str, int] | None = None,
) -> tuple[str, ...]:
    """Return one sentence per confound or missing control, in a fixed order.

    Per run key: ``realised_steps`` optimiser steps, for stages whose length is given in epochs; ``supervised`` tokens
    that are learned from, as far as they are known.
    """
    return (
        *seed_warnings(study),
        *_unmatched(tree, realised_steps or {}),
        *_unmatched_supervision(tree, supervised or {}),
        *_other_reward_models(tree),
        *_missing_controls(study),
        *_uncalibrated_deltas(study),
        *_missing_roles(study),
        *_missing_outcomes(study),
    )


def seed_warnings(study: Study) -> Iterable[str]:
    """Yield what too few independent runs will keep a study from claiming; findings say it of what was measured."""
    pipelines = replicates(study.seeds)
    roots = {replicate.root for replicate in pipelines}
    if len(pipelines) < SEEDS_FOR_RECIPES:
        yield (
            f"{len(pipelines)} seed{'s' if len(pipelines) > 1 else ''}: claims will be about these checkpoints only; "
            f"claims about the recipe need at least {SEEDS_FOR_RECIPES}"
        )
    elif len(roots) == 1 and isinstance(study.start, FreshStart):
        yield "all seeds share one pretraining run: claims will be conditional on it, never about the whole recipe"


def _unmatched(tree: StudyTree, realised_steps: Mapping[str, int]) -> Iterable[str]:
    """Arms that differ in the steps, batch or kind of a stage they share by name are confounded with compute."""
    sizes: dict[tuple[int, str], dict[tuple[object, ...], set[str]]] = defaultdict(lambda: defaultdict(set))
    for lineage in tree.lineages:
        for run in lineage.runs:
            if isinstance(run.stage, TrainedStage):
                place = (lineage.replicate.number, run.stage_name)
                sizes[place][_size(run, realised_steps)].add(lineage.arm.name)
    warned: set[str] = set()
    for (_, stage), groups in sizes.items():
        if len(groups) > 1 and stage not in warned:
            warned.add(stage)
            ordered = sorted(groups.items(), key=lambda each: str(each[0]))
            listed = "; ".join(f"{', '.join(sorted(arms))}: {_said(size)}" for size, arms in ordered)
            yield f"stage {stage!r} differs in size between arms ({listed}): differences are confounded with compute"


def _unmatched_supervision(tree: StudyTree, supervised: Mapping[str, int]) -> Iterable[str]:
    """Arms of equal steps may still learn from other numbers of tokens: short refusals against long answers."""
    found: dict[tuple[int, str], dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
    for lineage in tree.lineages:
        for run in lineage.runs:
            if (tokens := supervised.get(run.key())) is not None:
                found[lineage.replicate.number, run.stage_name][tokens].add(lineage.arm.name)
    warned: set[str] = set()
    for (_, stage), groups in found.items():
        if max(groups) > TOLERATED_SUPERVISION * min(groups) and stage not in warned:
            warned.add(stage)
            listed = "; ".join(f"{', '.join(sorted(arms))}: {tokens}" for tokens, arms in sorted(groups.items()))
            yield (
                f"stage {stage!r} learns from other numbers of tokens in different arms (supervised: {listed}): "
                "differences between them are confounded with how much was taught"
            )


def _size(run: Run, realised_steps: Mapping[str, int]) -> tuple[object, ...]:
    assert run.stream is not None
    steps = run.total_steps if run.total_steps is not None else realised_steps.get(run.key())
    epochs = run.stream.parts[0].epochs
    return run.stage.kind, run.stream.context * run.stream.batch_size, steps, epochs if steps is None else None


def _said(size: tuple[object, ...]) -> str:
    kind, tokens_per_step, steps, epochs = size
    length = f"{steps} steps" if steps is not None else f"{epochs:g} epochs"
    return f"{kind}, {length} of {tokens_per_step} tokens"


def _other_reward_models(tree: StudyTree) -> Iterable[str]:
    """Arms whose stage is paid by reward models that are not one and the same are confounded with what was paid."""
    paid: dict[tuple[int, str], dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for lineage in tree.lineages:
        for run in lineage.runs:
            if run.reward_model is not None:
                paid[lineage.replicate.number, run.stage_name][run.reward_model].add(lineage.arm.name)
    for stage, models in {stage: models for (_, stage), models in paid.items() if len(models) > 1}.items():
        listed = "; ".join(sorted(", ".join(sorted(arms)) for arms in models.values()))
        yield (
            f"stage {stage!r} is paid by different reward models in different arms ({listed}): differences between "
            "them may be the reward models'; list the reward model before the stages in which the arms differ"
        )


def _missing_controls(study: Study) -> Iterable[str]:
    arms = study.resolved_arms()
    controls = {arm.arm.control for arm in arms.values()}
    states = {state for arm in arms.values() for state in arm.states.values()}
    trained = {name for arm in arms.values() for name, stage in arm.stages.items() if isinstance(stage, TrainedStage)}
    if len(arms) > 1 and trained and "placebo" not in controls and "placebo" not in states:
        yield (
            "no placebo arm: an effect of a stage's data cannot be told from the effect of training at all "
            "(placebo: {stage: ..., data: ...})"
        )
    if len(arms) > 1 and "copy" not in controls:
        yield "no copy arm: nothing shows that nothing is found where nothing is (same_as: ..., control: copy)"
    has_margins = bool(study.margins or study.ratio_margins or study.default_margins)
    if "positive" not in controls and has_margins:
        yield (
            "no positive control: where arms come out equivalent, nothing shows that the measure can move "
            "(control: positive)"
        )
    if not study.primary:
        yield "no primary measure: every claim will be exploratory (primary: [...])"
    elif len(arms) == 1 and not study.contrasts and study.protocol is None:
        yield (
            "one arm: every claim is a step along it and exploratory, whatever is primary; add an arm to compare it "
            "with, or declare contrasts with role: primary"
        )
    for measure in study.primary:
        if measure not in {**study.margins, **study.ratio_margins} and study.default_margins is None:
            yield f"no margin for the primary measure {measure!r}: it can be found changed, never equivalent"


def _uncalibrated_deltas(study: Study) -> Iterable[str]:
    """Say what edits and emulations lack: retrained cells that calibrate them, and a random delta of the same size."""
    arms = study.resolved_arms().values()
    for kind, what, which, control in (
        (EditWeights, "edited weights", "edited", "no edit by a random delta: what editing"),
        (EmulateTuning, "emulated tuning", "emulated", "no emulation by a random delta: what emulating"),
    ):
        found = [stage for arm in arms for stage in arm.stages.values() if isinstance(stage, kind)]
        last = [list(arm.stages.values())[-1] for arm in arms if arm.arm.stands_for is not None]
        num = sum(isinstance(stage, kind) for stage in last)
        if found and num < FEWEST_CELLS:
            yield (
                f"{what} will be uncalibrated: {num} of at least {FEWEST_CELLS} {which} arms name the retrained cell "
                "that they stand for (stands_for: arm@stage)"
            )
        if found and not any(stage.delta.random for stage in found):
            yield (
                f"{control} by a delta does cannot be told from what noise of its size does "
                "(delta: {..., random: true})"
            )


def _missing_roles(study: Study) -> Iterable[str]:
    """Name the roles of the protocol that no cell plays, and the part each would decide."""
    missing = {} if study.protocol is None else missing_roles(study.protocol.spec())
    for part, roles in missing.items():
        yield (
            f"protocol {part} will not be decided: no cell is "
            f"{'; '.join(f'{role} ({ALL_ROLE_WORDS[role]})' for role in roles)}"
        )


def _missing_outcomes(study: Study) -> Iterable[str]:
    """Name the outcomes of the protocol that nothing is read for, where the roles of their parts are there."""
    if study.protocol is None:
        return
    protocol = study.protocol.spec()
    lacking = missing_roles(protocol)
    for part, kind in missing_outcomes(protocol).items():
        if part not in lacking:
            named = f"{kind}: {{NAME: {{measure: ...}}}}"
            yield f"protocol {part} will not be decided: no outcome is named for it ({named})"
