"""Answers under an intervention: the direction comes from hidden states that the same measurement has read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from upbringing.base.streams import stream
from upbringing.battery.answering import Asking
from upbringing.battery.cache import AnswerCache
from upbringing.battery.judging import Spoken
from upbringing.battery.needs import AnswerNeed, Intervention, Need, StatesNeed
from upbringing.battery.probes.directions import difference_of_means
from upbringing.models.local import LocalModel
from upbringing.models.states import States
from upbringing.models.steering import SteeredModel, Steering


@dataclass
class Under:
    """Answers under interventions; ``unable``: what could not be asked, with the reason."""

    said: list[Spoken] = field(default_factory=list)
    unable: dict[AnswerNeed, str] = field(default_factory=dict)
    num_cached: int = 0


def answers_under_interventions(
    plain: Asking,
    checkpoint: str,
    needs: Sequence[Need],
    states: Mapping[StatesNeed, States],
    cache: Path | None,
    on_done: Callable[[int], None],
) -> Under:
    """Return the answers of ``needs`` that have an intervention, asked as ``plain`` asks.

    Only local weights can be steered, and only by a direction whose prompts could be read. Stream of random
    directions: ``random-direction/<layer>``.
    """
    groups: dict[Intervention, list[AnswerNeed]] = {}
    for need in needs:
        if isinstance(need, AnswerNeed) and need.intervention is not None:
            groups.setdefault(need.intervention, []).append(need)
    under = Under()
    done = 0
    for intervention, group in groups.items():
        steering = _steering(plain, intervention, states)
        if isinstance(steering, str) or not isinstance(plain.model, LocalModel):
            under.unable.update(dict.fromkeys(group, steering if isinstance(steering, str) else "cannot-steer"))
        else:
            model = SteeredModel(plain.model, steering)
            asking = Asking(model, plain.items, plain.seed, AnswerCache.open(cache, model))
            said, unable = asking.answers(checkpoint, group, partial(_onward, on_done, done))
            under.said += said
            under.unable.update(unable)
            under.num_cached += asking.num_cached
        done += len(group)
        on_done(done)
    return under


def _onward(on_done: Callable[[int], None], before: int, num: int) -> None:
    on_done(before + num)


def _steering(plain: Asking, intervention: Intervention, states: Mapping[StatesNeed, States]) -> Steering | str:
    """Return the steering, or the reason why there is none."""
    if not isinstance(plain.model, LocalModel):
        return "cannot-steer"
    halves = [
        [states[need].last for need in intervention.fitted_on if need.item in items and need in states]
        for items in (set(intervention.harmful), set(intervention.benign))
    ]
    if not all(halves):
        return "no-direction"
    num_blocks = len(halves[0][0]) - 1
    layer = num_blocks // 2 if intervention.layer is None else intervention.layer
    if layer >= num_blocks:
        return "no-such-block"
    vector = difference_of_means(np.stack(halves[0])[:, layer], np.stack(halves[1])[:, layer])
    if not np.linalg.norm(vector) > 0:
        return "no-direction"
    if intervention.is_random:
        vector = random_direction(vector, plain.seed, layer)
    return Steering.of(intervention.edit, vector, layer, intervention.strength)


def random_direction(vector: NDArray[np.float32], seed: int, layer: int) -> NDArray[np.float32]:
    """Return a direction drawn uniformly, as long as ``vector``. Stream: ``random-direction/<layer>``."""
    drawn = stream(seed, "random-direction", layer).standard_normal(len(vector))
    scaled: NDArray[np.float32] = (drawn / np.linalg.norm(drawn) * np.linalg.norm(vector)).astype(np.float32)
    return scaled
