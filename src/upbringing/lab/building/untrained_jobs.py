"""The jobs of nodes that are made from other checkpoints without training."""

from __future__ import annotations

from upbringing.lab.building.emulate_job import EmulateJob, Part
from upbringing.lab.building.made_weights import MakingStage, WeightsJob
from upbringing.lab.building.workshop import Prepared, Workshop
from upbringing.study.tree import Node
from upbringing.training.edit_weights import EditWeights
from upbringing.training.emulate_tuning import EmulateTuning


def weights_job(workshop: Workshop, node: Node, prepared: Prepared, label: str) -> WeightsJob:
    """Return the job that makes the weights of ``node`` from others'. ``label``: what a display calls it."""
    run = node.run
    assert run is not None
    assert isinstance(run.stage, MakingStage)
    parent, *others = (prepared.folders.get(key) or prepared.keys[key] for key in (run.parent, *run.made_of))
    is_drawn = isinstance(run.stage, EditWeights) and run.stage.delta.random
    return WeightsJob(
        key=prepared.keys[node.key],
        label=label,
        store=workshop.store.root,
        name=run.stage_name,
        stage=run.stage,
        seed=run.seed if is_drawn else None,
        parent=parent,
        others=tuple(others),
        inputs=node.inputs,
        profile=workshop.profile,
        after=tuple(dict.fromkeys(prepared.keys[key] for key in node.needs)),
    )


def emulate_job(workshop: Workshop, node: Node, prepared: Prepared, label: str) -> EmulateJob:
    """Return the job that names the checkpoints which answer for ``node``. ``label``: what a display calls it."""
    run = node.run
    assert run is not None
    assert isinstance(run.stage, EmulateTuning)
    return EmulateJob(
        key=prepared.keys[node.key],
        label=label,
        store=workshop.store.root,
        name=run.stage_name,
        stage=run.stage,
        seed=run.seed,
        parts=tuple(Part(prepared.keys[key], prepared.folders.get(key)) for key in node.emulated_by),
        inputs=node.inputs,
        profile=workshop.profile,
        after=tuple(dict.fromkeys(prepared.keys[key] for key in node.needs)),
    )
