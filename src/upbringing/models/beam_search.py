"""Beam search over a batch of prompts, plain or with SafeBeam's look ahead: one forward pass per step for all of it.

Plain beam search chooses and then reads the k tokens that it chose. SafeBeam reads all k x N candidates of all prompts
as one batch of single tokens behind cached keys and values, takes their risks from the logits, chooses, and goes on
with the logits, keys and values of the chosen ones: the look ahead is the next step's forward pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from upbringing.base.errors import MeasurementError
from upbringing.models.answer_tokens import LEAVE_SHARE, SHORT_CIRCUIT, Ends, Generated, TokenPrompt, finished
from upbringing.models.attention import grouped_heads
from upbringing.models.banning import allowed
from upbringing.models.beam_cache import BeamCache
from upbringing.models.decoding import Beam, BeamSearch, SafeBeam
from upbringing.models.hypotheses import Candidate, Hypotheses
from upbringing.models.safebeam import RiskGuard, tag_probability


def search(model: Any, prompts: Sequence[TokenPrompt], decoding: BeamSearch, ends: Ends) -> list[Generated]:
    """Return the best answer to each prompt, all searched as one batch.

    Raises ``MeasurementError`` for SafeBeam without a tag in ``ends`` and for networks without choosable caches.
    """
    import torch

    assert isinstance(decoding, Beam | SafeBeam)
    if isinstance(decoding, SafeBeam) and ends.tag is None:
        raise MeasurementError(f"SafeBeam needs the id of the tag {decoding.tag!r}: the tokenizer has no such token")
    with torch.inference_mode(), grouped_heads(model):
        return _BatchSearch(model, prompts, decoding, ends).run()


class _BatchSearch:
    """One batch being searched. ``open[i]`` is the prompt that row ``i`` of the tensors belongs to."""

    def __init__(self, model: Any, prompts: Sequence[TokenPrompt], decoding: Beam | SafeBeam, ends: Ends) -> None:
        self.decoding, self.ends = decoding, ends
        self.guards = [RiskGuard(decoding) if isinstance(decoding, SafeBeam) else None for _ in prompts]
        self.found = [Hypotheses(decoding, ends, guard) for guard in self.guards]
        self.open = list(range(len(prompts)))
        self.cache = BeamCache(model, prompts, ends.padding)
        self.logits = self.cache.logits[:, None]  # (prompts, beams, vocabulary)

    def run(self) -> list[Generated]:
        for step in range(self.decoding.max_tokens):
            is_last = step + 1 == self.decoding.max_tokens
            if isinstance(self.decoding, SafeBeam):
                self._look_and_choose(is_last)
            else:
                self._choose_and_read(is_last)
            if is_last or not self._leave():
                break
        return [self._generated(place) for place in range(len(self.found))]

    def _choose_and_read(self, is_last: bool) -> None:
        """Choose the beams of every prompt, then read their tokens."""
        import torch

        tokens, gains = self._candidates()
        going = self._advance(tokens, gains, None)
        if is_last or not any(going):
            return
        parents = self._padded([[each.parent for each in beams] for beams in going])
        chosen = self._padded([[each.token for each in beams] for beams in going])
        self.logits = self.cache.look(chosen, parents)
        self.cache.keep(torch.arange(chosen.shape[1], device=chosen.device).expand_as(chosen))

    def _look_and_choose(self, is_last: bool) -> None:
        """Read every candidate, choose the beams by what follows them, and go on from what was read of those."""
        import torch

        tokens, gains = self._candidates()
        num, beams, width = tokens.shape
        parents = torch.arange(beams, device=tokens.device).repeat_interleave(width).expand(num, -1)
        ahead = self.cache.look(tokens.flatten(1), parents)  # (prompts, candidates, vocabulary)
        assert self.ends.tag is not None
        risks = tag_probability(ahead, self.ends.tag).view(tokens.shape).cpu().numpy()
        going = self._advance(tokens, gains, risks)
        if is_last or not any(going):
            return
        chosen = self._padded([[each.place for each in found] for found in going])
        self.logits = ahead[torch.arange(num, device=chosen.device)[:, None], chosen]
        self.cache.keep(chosen)

    def _candidates(self) -> tuple[Any, Any]:
        """Return the likeliest tokens of each beam and their log-probabilities, (prompts, beams, candidates)."""
        import torch

        logits = allowed(self.logits, self.decoding, self.ends)  # risks are of what the model itself would say
        scores = torch.log_softmax(logits.float() / self.decoding.temperature, dim=-1)
        if isinstance(self.decoding, SafeBeam) and self.decoding.tag_candidate == "forbid":
            scores[..., self.ends.tag] = -torch.inf
        gains, tokens = scores.topk(min(self.decoding.candidates, scores.shape[-1]), dim=-1)
        tokens, order = tokens.sort(dim=-1)  # of equally likely tokens the first comes first
        gains, likelier = gains.gather(-1, order).sort(dim=-1, descending=True, stable=True)
        return tokens.gather(-1, likelier), gains

    def _advance(self, tokens: Any, gains: Any, risks: NDArray[np.float64] | None) -> list[list[Candidate]]:
        """Return what became the beams of each open prompt."""
        drawn, gained = tokens.cpu().numpy(), gains.double().cpu().numpy()
        return [
            self._of_prompt(self.found[place], drawn[row], gained[row], None if risks is None else risks[row])
            for row, place in enumerate(self.open)
        ]

    def _of_prompt(
        self,
        found: Hypotheses,
        tokens: NDArray[np.int64],
        gains: NDArray[np.float64],
        risks: NDArray[np.float64] | None,
    ) -> list[Candidate]:
        """Advance one prompt by its candidates (beams, candidates); impossible tokens are none of them."""
        if found.answer is not None:
            return []
        pool = []
        width = tokens.shape[1]
        for parent, beam in enumerate(found.beams):
            for rank in range(width):
                token, gain = int(tokens[parent, rank]), float(gains[parent, rank])
                if gain > -np.inf:
                    risk = 0.0 if risks is None else self._risk(found, token, float(risks[parent, rank]))
                    pool.append(Candidate(parent * width + rank, parent, token, beam.likelihood + gain, risk))
        return found.advance(pool)

    def _risk(self, found: Hypotheses, token: int, seen: float) -> float:
        """Return the risk of a candidate; what ends an answer has no next token, unless it is to be looked ahead of."""
        assert isinstance(self.decoding, SafeBeam)
        return 0.0 if self.decoding.end_risk == "none" and found.ends_answer(token) else seen

    def _padded(self, rows: Sequence[Sequence[int]]) -> Any:
        """Return rows of unequal lengths as one tensor; what fills them up belongs to no beam."""
        import torch

        width = max(len(row) for row in rows)
        filled = [[*row, *[0] * (width - len(row))] for row in rows]
        return torch.tensor(filled, dtype=torch.long, device=self.logits.device)

    def _leave(self) -> bool:
        """Take prompts whose answer is known out of the batch, if enough are; return whether any is left."""
        import torch

        going = [row for row, place in enumerate(self.open) if self.found[place].answer is None]
        if going and len(self.open) - len(going) >= LEAVE_SHARE * len(self.open):
            rows = torch.tensor(going, device=self.logits.device)
            self.cache.leave(rows)
            self.logits = self.logits[rows]
            self.open = [self.open[row] for row in going]
        return bool(going)

    def _generated(self, place: int) -> Generated:
        """Return the answer to a prompt without its end token, and without the tag that ended it."""
        answer, guard = self.found[place].close(), self.guards[place]
        details = None if guard is None else guard.details(answer)
        if answer.short_circuit:
            tokens = answer.tokens[:-1] if answer.tokens and answer.tokens[-1] == self.ends.tag else answer.tokens
            return Generated(tokens, SHORT_CIRCUIT, details)
        said = finished(answer.tokens, self.ends)
        return Generated(said.ids, said.finish, details)
