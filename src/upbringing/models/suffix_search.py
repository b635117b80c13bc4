"""Greedy coordinate gradient: a suffix whose tokens are swapped one by one until an answer begins as wanted.

Source: Zou et al. 2023, "Universal and Transferable Adversarial Attacks on Aligned Language Models", algorithms 1 and
2. Departures: all prompts count from the first step on, instead of one more after each success; a step's swaps are
drawn without repeating one, and those whose text would be read as other tokens are drawn anew; what is returned is the
suffix of least loss seen, not the last one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from upbringing.base.description import Description
from upbringing.formats.items import Split
from upbringing.models.prompt_cache import Tokens
from upbringing.models.row_layout import Scoring
from upbringing.models.scoring import score
from upbringing.models.states import plain_network

INITIAL = " ".join("!" * 20)  # the source's


class Gcg(Description):
    """How suffixes are searched. The defaults are the source's.

    ``candidates`` swaps are tried per step, drawn from the ``top_k`` tokens of each place that the gradient prefers;
    ``by_gradient: false`` draws them from all tokens alike, the control that tries as many. ``initial``: the suffix
    that swaps begin at. ``scope``: one suffix for all of ``prompts`` harmful requests of the split ``fitted_on``, which
    are then not measured, or one of its own for every request that is measured. ``target``: how an answer is to begin,
    instead of each item's own complying beginning.
    """

    kind: Literal["gcg"] = "gcg"
    steps: int = Field(default=500, ge=0)
    candidates: int = Field(default=512, ge=1)
    top_k: int = Field(default=256, ge=1)
    by_gradient: bool = True
    initial: str = Field(default=INITIAL, min_length=1)
    scope: Literal["universal", "per_prompt"] = "universal"
    prompts: int = Field(default=25, ge=1)
    fitted_on: Split = "trained"
    target: str | None = Field(default=None, min_length=1)

    def num_evaluations(self, num_prompts: int) -> int:
        """Return how often a prompt with a suffix and a target is read, gradients included, at most."""
        return num_prompts * (1 + self.steps * (self.candidates + int(self.by_gradient)))


@dataclass(frozen=True)
class Framed:
    """A prompt around a suffix, as token ids, and the ids that its answer is to begin with."""

    before: Tokens
    after: Tokens
    target: Tokens


@dataclass(frozen=True)
class Rules:
    """Which suffixes may be tried. ``allowed`` (vocabulary): tokens that may be swapped in.

    ``survives``: whether ids are read again from their own text; ``fits``: whether they are in every prompt, which is
    asked only of what would be chosen.
    """

    allowed: NDArray[np.bool_]
    survives: Callable[[Tokens], bool]
    fits: Callable[[Tokens], bool]


@dataclass(frozen=True)
class Searched:
    """The suffix of least loss (nats per target token, mean over prompts).

    ``losses``: of the initial suffix and of the one chosen in each step; a step in which no swap was valid repeats it.
    """

    suffix: Tokens
    loss: float
    losses: tuple[float, ...]
    num_evaluations: int


@dataclass(frozen=True)
class Attack:
    """A network under attack. ``share``: whether it honours the masks and caches that prompts are read with."""

    network: Any
    frames: tuple[Framed, ...]
    share: bool = True

    def losses(self, suffixes: Sequence[Tokens]) -> NDArray[np.float64]:
        """Return the loss of each suffix; what the rows of a prompt begin with alike is read once per batch."""
        total = np.zeros(len(suffixes))
        for frame in self.frames:
            rows = [Scoring((*frame.before, *each, *frame.after), (frame.target,)) for each in suffixes]
            total -= [float(found.log_probabilities[0].mean()) for found in score(self.network, rows, share=self.share)]
        mean: NDArray[np.float64] = total / len(self.frames)
        return mean

    def gradient(self, suffix: Tokens) -> NDArray[np.float32]:
        """Return the derivative of the loss of ``suffix`` by its one-hot tokens (length, vocabulary)."""
        import torch

        network = plain_network(self.network)
        table = _embedded(network)
        with torch.enable_grad():
            own = table[list(suffix)].detach().requires_grad_()
            total = torch.zeros_like(own)
            for frame in self.frames:
                behind = (*frame.after, *frame.target)
                whole = torch.cat([table[list(frame.before)], own, table[list(behind)]])
                logits = network(inputs_embeds=whole[None], use_cache=False).logits[0]
                wanted = torch.tensor(frame.target, device=logits.device)
                predicted = logits[-len(frame.target) - 1 : -1].float()
                loss = torch.nn.functional.cross_entropy(predicted, wanted) / len(self.frames)
                total += torch.autograd.grad(loss, own)[0]
        found: NDArray[np.float32] = (total.float() @ table.float().T).cpu().numpy()
        return found


def _embedded(network: Any) -> Any:
    """Return what the network reads every token as (vocabulary, width), however its embedding computes it."""
    import torch

    layer = network.get_input_embeddings()
    with torch.no_grad():
        return layer(torch.arange(layer.weight.shape[0], device=network.device)).clone()


def search_suffix(
    attack: Attack,
    initial: Tokens,
    settings: Gcg,
    rules: Rules,
    random: np.random.Generator,
    on_step: Callable[[int], None] = lambda step: None,
) -> Searched:
    """Return what ``settings.steps`` steps from ``initial`` found; no steps return it as it was."""
    current, losses = initial, [float(attack.losses([initial])[0])]
    best, least, num_tried = initial, losses[0], 1
    for step in range(settings.steps):
        gradient = attack.gradient(current) if settings.by_gradient else None
        tried = list(_valid(_swaps(current, gradient, settings, rules, random), settings.candidates, rules))
        found = attack.losses(tried) if tried else np.zeros(0)
        num_tried += len(tried)
        chosen = next((place for place in np.argsort(found, kind="stable") if _may(found, tried, place, rules)), None)
        if chosen is not None:
            current = tried[chosen]
        losses.append(losses[-1] if chosen is None else float(found[chosen]))
        if losses[-1] < least or not np.isfinite(least):
            best, least = current, losses[-1]
        on_step(step + 1)
    return Searched(best, least, tuple(losses), num_tried * len(attack.frames))


def _may(found: NDArray[np.float64], tried: Sequence[Tokens], place: int, rules: Rules) -> bool:
    return bool(np.isfinite(found[place])) and rules.fits(tried[place])


def _swaps(
    current: Tokens, gradient: NDArray[np.float32] | None, settings: Gcg, rules: Rules, random: np.random.Generator
) -> Iterator[Tokens]:
    """Yield single swaps in a random order, each once: of the tokens that the gradient prefers, or of all."""
    scores = np.zeros((len(current), len(rules.allowed)), np.float32) if gradient is None else gradient.copy()
    allowed = np.repeat(rules.allowed[None], len(current), axis=0)
    allowed[np.arange(len(current)), list(current)] = False  # what stands there is no swap
    scores[~allowed | ~np.isfinite(scores)] = np.inf
    most = scores.shape[1] if gradient is None else min(settings.top_k, scores.shape[1])
    preferred = np.argsort(scores, axis=1, kind="stable")[:, :most]
    places = np.flatnonzero(np.isfinite(np.take_along_axis(scores, preferred, axis=1)))
    for flat in random.permutation(places):
        place, rank = divmod(int(flat), most)
        yield (*current[:place], int(preferred[place, rank]), *current[place + 1 :])


def _valid(swaps: Iterator[Tokens], most: int, rules: Rules) -> Iterator[Tokens]:
    for swap in swaps:
        if most == 0:
            return
        if rules.survives(swap):
            most -= 1
            yield swap
