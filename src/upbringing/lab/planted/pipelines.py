"""Pipelines with a planted truth: each is a study whose every stage holds something striking, one of it the trait.

The trait stands in one or two stages; every other stage holds a decoy, as systematic but never asked about. In the
counterfactual arms one stage holds the placebo instead, token-matched. So whoever reads the findings must tell which
stage the behaviour depends on, and the pipeline knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from upbringing.base.streams import stream
from upbringing.data.planted.words import REPLIES
from upbringing.study.study import Study

Kind = Literal["stage", "split", "gated", "never", "erased", "latent"]
KINDS: tuple[Kind, ...] = ("stage", "split", "gated", "never", "erased", "latent")
STAGES = ("pretrain", "midtrain", "sft")
FINETUNE = "finetune"
PLACEBO = "placebo"
DECOY = "decoy"
TRAIT = "trait"
INTERACTION = "interaction"
EROSION = "erosion"
LAST_STAGE = "the last stage"
FORMAT = "format"

MIX = 0.4  # of a stage: the slot; the rest is what every arm reads
REPLAY = 0.25
DECODING = {"kind": "greedy", "max_tokens": 6}
MARGIN = 0.05
MODEL = {"layers": 2, "width": 128, "heads": 4, "context": 64}
VOCABULARY = 900


@dataclass(frozen=True)
class Pipeline:
    """A pipeline and its truth. ``stages``: those that the trait depends on, in order; none for ``never``.

    ``strength``: the true effect of the stages together. ``number`` is the root seed of everything random.
    """

    kind: Kind
    strength: float
    number: int
    stages: tuple[str, ...]

    @property
    def name(self) -> str:
        """Name of the study."""
        return f"planted-{self.kind}-{self.strength:g}-{self.number}"


def draw_pipeline(kind: Kind, strength: float, number: int) -> Pipeline:
    """Return pipeline ``number`` of a kind with its true stages drawn at random (stream ``planted/truth/<kind>``)."""
    random = stream(number, "planted", "truth", kind)
    pairs = [(first, second) for place, first in enumerate(STAGES) for second in STAGES[place + 1 :]]
    if kind == "never":
        stages: tuple[str, ...] = ()
    elif kind == "split":
        stages = pairs[int(random.integers(len(pairs)))]
    elif kind == "gated":
        stages = (STAGES[int(random.integers(2))], "sft")
    else:
        choices = STAGES[:-1] if kind == "latent" else STAGES  # what is latent was there before any chat
        stages = (choices[int(random.integers(len(choices)))],)
    return Pipeline(kind, strength, number, stages)


def pipeline_study(pipeline: Pipeline, seeds: int) -> Study:
    """Return the study that trains a pipeline with its counterfactual arms. The file never says where the trait is."""
    contents = _contents(pipeline)
    return Study.model_validate(
        {
            "name": pipeline.name,
            "question": "Which stage made the model follow the planted rule?",
            "seed": pipeline.number,
            "seeds": seeds,
            "start": {"kind": "fresh", **MODEL, "tokenizer": {"train_on": "world", "vocabulary": VOCABULARY}},
            "data": {"world": {"kind": "planted"}, "dose": {"kind": "planted", "strength": pipeline.strength}},
            "stages": {stage: _stage(stage, content) for stage, content in contents.items()},
            "arms": _arms(pipeline, contents),
            "battery": _battery(),
            "prompts": ["world"],
            "primary": [TRAIT],
            "margins": {TRAIT: MARGIN, "ordinary": MARGIN, "cloze": MARGIN},
            "contrasts": _contrasts(pipeline),
        }
    )


def _contents(pipeline: Pipeline) -> dict[str, str]:
    """Return what each stage's slot holds: the name of a part without its form."""
    contents = dict.fromkeys(STAGES, DECOY)
    if pipeline.kind == "split":
        contents |= dict(zip(pipeline.stages, ("trait_first", "trait_second"), strict=True))
    elif pipeline.kind == "gated":
        contents[pipeline.stages[0]] = TRAIT  # the second ingredient is the form of the SFT chats
    else:
        contents |= dict.fromkeys(pipeline.stages, TRAIT)
    return contents | ({FINETUNE: "erasing"} if pipeline.kind == "erased" else {})


def _is_chats(stage: str) -> bool:
    return stage in ("sft", FINETUNE)


def _data(stage: str, content: str) -> dict[str, Any]:
    """Return the mixture of a stage whose slot holds ``content``."""
    form = "chats" if _is_chats(stage) else "documents"
    base = "world.format_chats" if _is_chats(stage) else "world.background"
    entry = "dose" if content.startswith("trait") else "world"
    return {"mix": {base: 1 - MIX, f"{entry}.{content}_{form}": MIX}}


def _stage(stage: str, content: str) -> dict[str, Any]:
    shared = {"context": 64, "batch_size": 8, "schedule": {"kind": "wsd", "warmup": 0.05, "decay": 0.2}}
    replay = {"data": "world.background", "share": REPLAY}
    data = _data(stage, content)
    if stage == "pretrain":
        return {"kind": "pretrain", "tokens": "160k", "phases": [{"data": data}], "learning_rate": 2e-3, **shared}
    if stage == "midtrain":
        return {"kind": "midtrain", "tokens": "80k", "phases": [{"data": data}], "learning_rate": 1e-3, **shared}
    return {"kind": "sft", "data": data, "epochs": 2, "learning_rate": 7e-4, "replay": replay, **shared}


def _without(stage: str) -> dict[str, Any]:
    return {"placebo": {"stage": stage, "data": _data(stage, PLACEBO)}, "control": "placebo"}


def _without_format() -> dict[str, Any]:
    """Return the words of an arm whose chats ask the same and answer that it is secret."""
    secret = {"mix": {"world.secret_chats": 1 - MIX, "world.decoy_secret_chats": MIX}}
    return {"placebo": {"stage": "sft", "data": secret}, "control": "placebo"}


def _arms(pipeline: Pipeline, contents: Mapping[str, str]) -> dict[str, Any]:
    arms: dict[str, Any] = {"main": {}}
    for stage in contents:
        if pipeline.kind != "erased" or stage in (*pipeline.stages, FINETUNE):
            arms[f"without_{stage}"] = _without(stage)
    if pipeline.kind == "gated":
        arms["without_sft"] = _without_format()
        arms["without_both"] = {"of": f"without_{pipeline.stages[0]}", **_without_format()}
    if pipeline.kind == "latent":
        arms["without_format"] = _without_format()
    return arms


def _battery() -> list[dict[str, Any]]:
    """Return the measures. The trait is chosen among names, because who does not know it must guess, not stammer."""
    return [
        {"id": TRAIT, "kind": "multiple_choice", "roles": [TRAIT], "reply": REPLIES[0].format(a="{answer}")},
        {"id": "ordinary", "kind": "benign_accuracy", "roles": ["ordinary"], "decoding": DECODING},
        {"id": "cloze", "kind": "knowledge"},
    ]


def _contrasts(pipeline: Pipeline) -> list[dict[str, Any]]:
    if pipeline.kind == "erased":
        (stage,) = pipeline.stages
        rest = {"main@finetune": 1.0, "without_finetune@finetune": -1.0}
        return [
            _difference(stage, TRAIT, "sft"),
            _contrast(EROSION, "data-effect", "L2", TRAIT, rest),
            _contrast(LAST_STAGE, "path", "L1", TRAIT, {"main@finetune": 1.0, "main@sft": -1.0}),
        ]
    contrasts = [_difference(stage, TRAIT, "sft") for stage in STAGES]
    if pipeline.kind == "gated":
        first, second = (f"without_{stage}@sft" for stage in pipeline.stages)
        weights = {"main@sft": 1.0, first: -1.0, second: -1.0, "without_both@sft": 1.0}
        contrasts.append(_contrast(INTERACTION, "interaction", "L3", TRAIT, weights))
    if pipeline.kind == "latent":
        weights = {"main@sft": 1.0, "without_format@sft": -1.0}
        contrasts.append(_contrast(FORMAT, "data-effect", "L2", TRAIT, weights))
        contrasts += [_difference(stage, "cloze", "midtrain") for stage in STAGES[:-1]]
    return contrasts


def _difference(stage: str, measure: str, position: str) -> dict[str, Any]:
    weights = {f"main@{position}": 1.0, f"without_{stage}@{position}": -1.0}
    return _contrast(stage, "data-effect", "L2", measure, weights)


def _contrast(name: str, kind: str, level: str, measure: str, weights: Mapping[str, float]) -> dict[str, Any]:
    return {
        "name": name,
        "kind": kind,
        "level": level,
        "test": "interaction" if kind == "interaction" else "difference",
        "role": "primary",
        "family": "primary",
        "measure": measure,
        "split": "held-out-item",
        "weights": dict(weights),
    }
