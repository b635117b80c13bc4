"""Build what a study declares: data first, then every missing node of its tree, side by side."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from upbringing.base.errors import Keys
from upbringing.base.fingerprint import fingerprint, text_sha256
from upbringing.base.places import about
from upbringing.data.boxed_template import require_harmless
from upbringing.data.stream import STREAM_VERSION, StreamInfo
from upbringing.data.tokenizer import template_sha256, tokenizer_sha256
from upbringing.lab.building.cap_places import at_stage
from upbringing.lab.building.executor import Event, Job, Outcome, failures
from upbringing.lab.building.jobs import SegmentJob, StartJob, StreamJob, TokenizerJob
from upbringing.lab.building.made_weights import MakingStage
from upbringing.lab.building.own_answers import answers_jobs
from upbringing.lab.building.template_checks import require_templates
from upbringing.lab.building.untrained_jobs import emulate_job, weights_job
from upbringing.lab.building.workshop import KEY_CHARACTERS, PROFILE_CHARACTERS, Prepared, Workshop
from upbringing.models.weights import settings_sha256, weights_sha256
from upbringing.study.lineage import Lineage, Run
from upbringing.study.run_labels import run_label
from upbringing.study.stream_recipes import StreamRecipe
from upbringing.study.tree import Node, StudyTree
from upbringing.training.emulate_tuning import EmulateTuning
from upbringing.training.segment import Segment
from upbringing.training.settings import TrainedStage
from upbringing.training.start import FreshStart

EXISTING = "existing-"  # begins the keys of checkpoints that others made


def tokenizer_jobs(workshop: Workshop, tree: StudyTree) -> list[TokenizerJob]:
    """Return one job per tokenizer that the fresh starts of a tree need."""
    jobs = {}
    for lineage in tree.lineages:
        start = lineage.arm.start
        if isinstance(start, FreshStart):
            key = tokenizer_key(lineage)
            jobs[key] = TokenizerJob(key, "tokenizer", workshop.store.root, workshop.book, start)
    return list(jobs.values())


def tokenizer_key(lineage: Lineage) -> str:
    """Return the store key of the tokenizer of a fresh lineage."""
    return f"tokenizer-{fingerprint(lineage.start_inputs['tokenizer'])[:KEY_CHARACTERS]}"


def tokenizer_folders(workshop: Workshop, tree: StudyTree) -> dict[str, Path]:
    """Return the tokenizer's folder per start key; the tokenizers must have been built."""
    folders = {}
    for lineage in tree.lineages:
        start = lineage.arm.start
        if isinstance(start, FreshStart):
            folders[lineage.start_key] = workshop.store.path("data", tokenizer_key(lineage))
        else:
            with about(*_places_of_start(lineage)):
                folders[lineage.start_key] = workshop.checkpoints.needed(start.checkpoint)
    return folders


def _places_of_start(lineage: Lineage) -> tuple[Keys, ...]:
    return ("arms", lineage.arm.name, "start", "checkpoint"), ("start", "checkpoint")


def _places_of_existing(tree: StudyTree, node: Node) -> tuple[Keys, ...]:
    """Return where the study file may name the checkpoint that ``node`` is."""
    if node.run is None:
        return next(_places_of_start(each) for each in tree.lineages if each.start_key == node.key)
    name, keys = node.run.stage_name, ("stages", node.run.stage_name, "checkpoint")
    arms = [each.arm.name for each in tree.lineages for run in each.runs if run.stage_name == name]
    return (*(("arms", arm, *keys) for arm in arms), keys)


def stream_key(recipe: StreamRecipe, tokenizer: Path) -> str:
    """Return the store key of a stream under a tokenizer."""
    value = [recipe.key, tokenizer_sha256(tokenizer), template_sha256(tokenizer), STREAM_VERSION]
    if (tokenizer / "config.json").exists():  # the folder of a checkpoint, which says more than a study's own tokenizer
        value.append(settings_sha256(tokenizer))
    return f"stream-{fingerprint(value)[:KEY_CHARACTERS]}"


def stream_jobs(workshop: Workshop, tree: StudyTree, tokenizers: dict[str, Path]) -> dict[str, StreamJob]:
    """Return one job per distinct stream, by the recipe key of the stream."""
    jobs: dict[str, StreamJob] = {}
    for lineage in tree.lineages:
        tokenizer = tokenizers[lineage.start_key]
        for run in lineage.runs:
            if run.stream is not None:
                key = stream_key(run.stream, tokenizer)
                names = ", ".join(dict.fromkeys(run.stream.names.values()))
                label = f"data of {run_label(lineage, run)} ({names})"
                jobs.setdefault(
                    run.stream.key,
                    StreamJob(key, label, workshop.store.root, workshop.book, run.root, run.stream, tokenizer),
                )
    return jobs


def prepare(
    workshop: Workshop, tree: StudyTree, on_event: Callable[[Event], None], on_done: Callable[[Outcome], None]
) -> Prepared:
    """Make tokenizers and streams, and return what every node's bytes will be named.

    Raises the first error of any data: nothing is trained before all data was read.
    """
    _raise_first(workshop.run(tokenizer_jobs(workshop, tree), on_event, on_done))
    require_templates(tree, tokenizer_folders(workshop, tree))
    _raise_first(workshop.run(answers_jobs(workshop.store.root, workshop.book, workshop.profile), on_event, on_done))
    tokenizers = tokenizer_folders(workshop, tree)
    jobs = stream_jobs(workshop, tree, tokenizers)
    distinct = {job.key: job for job in jobs.values()}
    outcomes = workshop.run(list(distinct.values()), on_event, on_done)
    for failed in failures(outcomes):
        if failed.error is not None:
            raise at_stage(failed.error, tree.lineages, distinct[failed.key].recipe)
    streams = {recipe: (job.key, outcomes[job.key].value) for recipe, job in jobs.items()}
    return resolve_keys(workshop, tree, tokenizers, streams)


def _raise_first(outcomes: dict[str, Outcome]) -> None:
    failed = failures(outcomes)
    if failed and failed[0].error is not None:
        raise failed[0].error


def resolve_keys(
    workshop: Workshop, tree: StudyTree, tokenizers: dict[str, Path], streams: dict[str, tuple[str, StreamInfo]]
) -> Prepared:
    """Return the store key of every node: recipe keys with the data's bytes in place of its recipe."""
    profile = fingerprint(workshop.profile)[:PROFILE_CHARACTERS]
    keys: dict[str, str] = {}
    folders: dict[str, Path] = {}
    for key, node in tree.nodes.items():
        existing = node.existing
        if existing is not None:
            with about(*_places_of_existing(tree, node)):
                folder = workshop.checkpoints.needed(existing.checkpoint)
            require_harmless(existing.template, folder)
            keys[key] = existing_key(folder, existing.template)
            folders[key] = folder
        elif isinstance(node.start, FreshStart):
            fresh = [node.inputs["fresh"], node.inputs["seed"], tokenizer_sha256(tokenizers[key])]
            keys[key] = f"{fingerprint(fresh)[:KEY_CHARACTERS]}-{profile}"
        elif node.run is not None and isinstance(node.run.stage, MakingStage | EmulateTuning):
            keys[key] = f"{_made_key(node, node.run, keys)}-{profile}"
        else:
            keys[key] = f"{_content_key(node, keys, streams)}-{profile}"
    return Prepared(keys, folders, streams, tokenizers)


def existing_key(folder: Path, template: str | None) -> str:
    """Return the key of an existing checkpoint: the hash of all that decides what it says, and what is made of it.

    ``template``: the chat template that it is declared to be asked in; ``None`` = its own.
    """
    asked_in = template_sha256(folder) if template is None else text_sha256(template)
    decided_by = [weights_sha256(folder), tokenizer_sha256(folder), asked_in, settings_sha256(folder)]
    return f"{EXISTING}{fingerprint(decided_by)[:KEY_CHARACTERS]}"


def _made_key(node: Node, run: Run, keys: dict[str, str]) -> str:
    """Return the key of what was made of other states: its recipe with the store's keys in place of recipe keys."""
    made_of: dict[str, Any] = {"parent": keys[run.parent]}
    if run.delta is not None:
        made_of["delta"] = {**node.inputs["delta"], "from": keys[run.delta.start], "to": keys[run.delta.to]}
    if run.averaged:
        made_of["averaged"] = [keys[key] for key in run.made_of]
    return fingerprint({**node.inputs, **made_of})[:KEY_CHARACTERS]


def _content_key(node: Node, keys: dict[str, str], streams: dict[str, tuple[str, StreamInfo]]) -> str:
    run = node.run
    assert run is not None
    assert run.stream is not None
    _, info = streams[run.stream.key]
    total = run.total_steps or info.num_steps
    step = node.to_step or total
    inputs = run.inputs_at(step, total)
    content = {
        "parent": keys[run.parent],
        "settings": inputs["settings"],
        "seed": run.seed,
        "rates": inputs["rates"],
        "stream": info.prefix_sha256(step),
    }
    if run.reward_model is not None:
        content["reward_model"] = keys[run.reward_model]
    return fingerprint(content)[:KEY_CHARACTERS]


def node_jobs(workshop: Workshop, tree: StudyTree, prepared: Prepared, labels: dict[str, str]) -> list[Job]:
    """Return one job per node that has to be made; nodes whose bytes coincide are one job."""
    jobs: dict[str, Job] = {}
    for key, node in tree.nodes.items():
        store_key = prepared.keys[key]
        if key in prepared.folders or store_key in jobs:
            continue
        if isinstance(node.start, FreshStart):
            jobs[store_key] = StartJob(
                store_key,
                labels.get(key, node.label),
                workshop.store.root,
                node.start,
                prepared.tokenizers[key],
                int(node.inputs["seed"]),
                node.inputs,
                workshop.profile,
            )
        elif node.run is not None and isinstance(node.run.stage, MakingStage):
            jobs[store_key] = weights_job(workshop, node, prepared, labels.get(key, node.label))
        elif node.run is not None and isinstance(node.run.stage, EmulateTuning):
            jobs[store_key] = emulate_job(workshop, node, prepared, labels.get(key, node.label))
        else:
            jobs[store_key] = _segment_job(workshop, node, prepared, labels.get(key, node.label))
    return list(jobs.values())


def _segment_job(workshop: Workshop, node: Node, prepared: Prepared, label: str) -> SegmentJob:
    run = node.run
    assert run is not None
    assert run.stream is not None
    assert node.parent is not None
    assert isinstance(run.stage, TrainedStage)
    stream, info = prepared.streams[run.stream.key]
    total = run.total_steps or info.num_steps
    parent: str | Path = prepared.folders.get(run.parent) or prepared.keys[run.parent]
    continues = node.from_step > 0
    reward_model = None if run.reward_model is None else prepared.keys[run.reward_model]
    needed = (prepared.keys[node.parent], prepared.keys[run.parent], reward_model)
    segment = Segment(run.stage_name, run.stage, run.seed, total, node.from_step, node.to_step or total)
    return SegmentJob(
        key=prepared.keys[node.key],
        label=label,
        store=workshop.store.root,
        segment=segment,
        parent=parent,
        state=prepared.keys[node.parent] if continues else None,
        stream=stream,
        needs_state=node.needs_state,
        inputs=node.inputs,
        profile=workshop.profile,
        after=tuple(dict.fromkeys(key for key in needed if key is not None)),
        reward_model=reward_model,
    )
