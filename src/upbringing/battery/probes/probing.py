"""All probes of one checkpoint on one set of prompts: every layer, the layer chosen blindly, and the controls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from upbringing.battery.needs import Evidence, StatesNeed
from upbringing.battery.probes.crossfit import Features, held_out_scores, inner_auroc, shuffled_labels
from upbringing.battery.probes.folds import Folds
from upbringing.battery.probes.logistic import Flags, Numbers
from upbringing.battery.probes.ngrams import ngram_features
from upbringing.battery.probes.prompts import features, held_out_prompts
from upbringing.battery.probes.settings import Position, ProbeSettings, PromptForm
from upbringing.formats.items import Item

Control = Literal["ngrams", "random-weights", "shuffled-labels"]
CONTROLS: tuple[Control, ...] = ("ngrams", "random-weights", "shuffled-labels")
Layer = int | Literal["chosen"]


@dataclass(frozen=True)
class Probing:
    """``items`` are the prompts whose hidden states could be read; ``folds`` which are held out together."""

    evidence: Evidence
    settings: ProbeSettings
    form: PromptForm
    items: tuple[Item, ...]
    folds: Folds
    groups: NDArray[np.int64]
    _scores: dict[tuple[str, Position, int, int], Numbers] = field(default_factory=dict)
    _inner: dict[tuple[str, Position, int, int], float] = field(default_factory=dict)

    @cached_property
    def harmful(self) -> Flags:
        """Which prompts are harmful."""
        return np.array([item.request == "harmful" for item in self.items], dtype=np.bool_)

    @cached_property
    def shuffled(self) -> Flags:
        """The labels of the label-shuffle control."""
        return shuffled_labels(self.harmful, self.groups, self.folds, self.evidence.seed)

    @property
    def num_layers(self) -> int:
        """How many layers the network has, the embedding included."""
        return len(self.evidence.states[StatesNeed(self.items[0].id, self.form)].last)

    @cached_property
    def layers(self) -> tuple[int, ...]:
        """The layers that are probed; those that the network does not have are left out."""
        return tuple(layer for layer in self.settings.layers or range(self.num_layers) if layer < self.num_layers)

    @cached_property
    def _ngrams(self) -> Features:
        texts = ["\n".join(message.content for message in item.messages) for item in self.items]
        return ngram_features(texts)

    def features(self, source: str, position: Position, layer: int) -> Features:
        """Return (prompts, columns): n-grams, or a layer's hidden states of the network or of random weights."""
        if source == "ngrams":
            return self._ngrams
        return features(self.evidence, self.items, self.form, position, layer, is_fresh=source == "fresh")

    @property
    def has_fresh(self) -> bool:
        """Whether the control by random weights can be had."""
        return all(StatesNeed(item.id, self.form, is_fresh=True) in self.evidence.states for item in self.items)

    def scores(self, position: Position, layer: Layer) -> Numbers:
        """Return each prompt's log-odds of being harmful by the probe that has not seen its family."""
        return self._joined("own", position, layer)

    def control(self, control: Control, position: Position, layer: Layer) -> Numbers:
        """Return the scores of a control. Random weights choose their own best layer where the probe may."""
        if control == "ngrams":
            return self._joined("ngrams", position, 0)
        if control == "random-weights":
            return self._joined("fresh", position, layer)
        return self._joined("own", position, layer, shuffled=True)

    def best_control(self, position: Position, layer: Layer) -> Numbers:
        """Return the scores of the best control: which it is, is decided for each fold on the other folds alone."""
        controls = [each for each in CONTROLS if each != "random-weights" or self.has_fresh]
        result = np.empty(len(self.items))
        for fold in self._folds:
            inside = self.folds == fold
            known = [self._control_inner(control, position, layer, fold) for control in controls]
            result[inside] = self.control(controls[int(np.argmax(known))], position, layer)[inside]
        return result

    def chosen_layers(self, position: Position) -> list[int]:
        """Return the layer that is chosen for each fold, on all other folds."""
        return [self._chosen("own", position, fold) for fold in self._folds]

    @property
    def _folds(self) -> Sequence[int]:
        return range(int(self.folds.max()) + 1)

    def _joined(self, source: str, position: Position, layer: Layer, *, shuffled: bool = False) -> Numbers:
        result = np.empty(len(self.items))
        for fold in self._folds:
            chosen = self._chosen(source, position, fold) if layer == "chosen" else layer
            result[self.folds == fold] = self._fold_scores(source, position, chosen, fold, shuffled=shuffled)
        return result

    def _chosen(self, source: str, position: Position, fold: int) -> int:
        known = [self._inner_auroc(source, position, layer, fold) for layer in self.layers]
        return self.layers[int(np.argmax(known))]

    def _fold_scores(self, source: str, position: Position, layer: int, fold: int, *, shuffled: bool) -> Numbers:
        key = (f"{source}/{shuffled}", position, layer, fold)
        if key not in self._scores:
            labels, features = self._labels(shuffled), self.features(source, position, layer)
            self._scores[key] = held_out_scores(features, labels, self.folds, fold, self.settings.penalty)
        return self._scores[key]

    def _labels(self, shuffled: bool) -> Flags:
        return self.shuffled if shuffled else self.harmful

    def _inner_auroc(self, source: str, position: Position, layer: int, fold: int, *, shuffled: bool = False) -> float:
        key = (f"{source}/{shuffled}", position, layer, fold)
        if key not in self._inner:
            labels, features = self._labels(shuffled), self.features(source, position, layer)
            self._inner[key] = inner_auroc(features, labels, self.harmful, self.folds, fold)
        return self._inner[key]

    def _control_inner(self, control: Control, position: Position, layer: Layer, fold: int) -> float:
        if control == "ngrams":
            return self._inner_auroc("ngrams", position, 0, fold)
        source = "fresh" if control == "random-weights" else "own"
        chosen = self._chosen(source, position, fold) if layer == "chosen" else layer
        return self._inner_auroc(source, position, chosen, fold, shuffled=control == "shuffled-labels")


def probing(evidence: Evidence, settings: ProbeSettings, form: PromptForm) -> Probing | str:
    """Return the probes of a checkpoint, or the reason why there can be none. Measures share them."""
    key = ("probing", settings.key, form)
    if key not in evidence.shared:
        evidence.shared[key] = _probing(evidence, settings, form)
    found: Probing | str = evidence.shared[key]
    return found


def _probing(evidence: Evidence, settings: ProbeSettings, form: PromptForm) -> Probing | str:
    prompts = held_out_prompts(evidence, settings, form)
    if isinstance(prompts, str):
        return prompts
    found = Probing(evidence, settings, form, prompts.items, prompts.folds, prompts.groups)
    return found if found.layers else "no-such-layer"
