"""The beams of one prompt: which candidates go on, which answers have ended, and when the best of them is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from upbringing.models.answer_tokens import CHECK_STOP_EVERY, Ends
from upbringing.models.decoding import BeamSearch, SafeBeam


class Candidate(NamedTuple):
    """A beam continued by one token. ``place``: among the candidates of its prompt, by beam and then by likelihood.

    ``likelihood``: of the whole answer so far (nats). ``risk``: the probability of the tag behind it.
    """

    place: int
    parent: int
    token: int
    likelihood: float
    risk: float = 0.0


class Hypothesis(NamedTuple):
    """An answer so far, its end token included. ``risks``: of each of its tokens."""

    tokens: tuple[int, ...] = ()
    likelihood: float = 0.0
    risks: tuple[float, ...] = ()
    short_circuit: bool = False


Guard = Callable[[Sequence[Candidate]], list[Candidate]]
"""Returns the candidates that may stay."""


@dataclass
class Hypotheses:
    """The search for one answer. ``beams`` go on, best first; ``ended`` do not; ``answer`` is set when it is known."""

    decoding: BeamSearch
    ends: Ends
    guard: Guard | None = None

    def __post_init__(self) -> None:
        self.beams: list[Hypothesis] = [Hypothesis()]
        self.ended: list[Hypothesis] = []
        self.answer: Hypothesis | None = None

    def ends_answer(self, token: int) -> bool:
        """Whether a candidate with this token has no token after it."""
        how = self.decoding.tag_candidate if isinstance(self.decoding, SafeBeam) else "continue"
        return token in self.ends.tokens or (token == self.ends.tag and how in ("stop", "end"))

    def advance(self, pool: Sequence[Candidate]) -> list[Candidate]:
        """Choose from the candidates of one step and return those that became beams, best first."""
        left = list(pool) if self.guard is None else self.guard(pool)
        if not left:
            self._nothing_left()
            return []
        ranked = sorted(left, key=lambda each: (-each.likelihood, each.place))
        if isinstance(self.decoding, SafeBeam) and self.decoding.tag_candidate == "stop":
            if ranked[0].token == self.ends.tag:
                self.answer = self._continued(ranked[0])
                return []
            ranked = [each for each in ranked if each.token != self.ends.tag]
        going = self._beside_ended(ranked) if self.decoding.ended == "in_beam" else self._past_ended(ranked)
        going = [each for each in going if not self._stops(each)]
        self.beams = [self._continued(each) for each in going]
        self._look_whether_known()
        return going

    def _past_ended(self, ranked: Sequence[Candidate]) -> list[Candidate]:
        """Set aside what ended among the k best, and return the k best that go on."""
        for each in ranked[: self.decoding.beams]:
            if self.ends_answer(each.token):
                self.ended.append(self._continued(each))
        return [each for each in ranked if not self.ends_answer(each.token)][: self.decoding.beams]

    def _beside_ended(self, ranked: Sequence[Candidate]) -> list[Candidate]:
        """Return those of the k best that go on; answers that ended earlier compete for the k places."""
        entries: list[tuple[Hypothesis, Candidate | None]] = [(each, None) for each in self.ended]
        entries += [(self._continued(each), each) for each in ranked]
        entries.sort(key=lambda entry: -self._score(entry[0]))  # stable: of equals what ended earlier, then by place
        best = entries[: self.decoding.beams]
        self.ended = [each for each, found in best if found is None or self.ends_answer(found.token)]
        return [found for _, found in best if found is not None and not self.ends_answer(found.token)]

    def _continued(self, candidate: Candidate) -> Hypothesis:
        before = self.beams[candidate.parent]
        return Hypothesis(
            (*before.tokens, candidate.token),
            candidate.likelihood,
            (*before.risks, candidate.risk),
            candidate.token == self.ends.tag and self.ends_answer(candidate.token),
        )

    def _stops(self, candidate: Candidate) -> bool:
        """Whether the text of a candidate ends its answer, which is then set aside; looked at now and then."""
        found = self._continued(candidate)
        if self.ends.stopped is None or len(found.tokens) % CHECK_STOP_EVERY or not self.ends.stopped(found.tokens):
            return False
        self.ended.append(found)
        return True

    def _nothing_left(self) -> None:
        best, self.beams = self.beams[0], []
        self.answer = self._best(self.ended) if self.ended else best._replace(short_circuit=True)

    def _look_whether_known(self) -> None:
        """Set the answer if no beam can become better than what has ended: likelihoods only fall."""
        if self.beams and not self.ended:
            return
        ended = self._best(self.ended)
        most = max((each.likelihood for each in self.beams), default=None)
        if most is not None and self.decoding.length_normalisation == "mean":
            most /= self.decoding.max_tokens
        if most is None or self._score(ended) >= most:
            self.answer, self.beams = ended, []

    def close(self) -> Hypothesis:
        """Return the best answer, ended or not."""
        return self.answer if self.answer is not None else self._best([*self.ended, *self.beams])

    def _best(self, found: Sequence[Hypothesis]) -> Hypothesis:
        return max(found, key=self._score)  # the first of equals

    def _score(self, found: Hypothesis) -> float:
        return found.likelihood / (len(found.tokens) if self.decoding.length_normalisation == "mean" else 1)
