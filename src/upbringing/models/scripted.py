"""A model that says what it is told: for tests of batteries, judges and reports, and for trying out a study."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from upbringing.base.streams import stream
from upbringing.models.asking import Prompt, Reply, split_thought
from upbringing.models.decoding import Decoding

Says = Callable[[Prompt, int], str | Reply]
Likes = Callable[[Prompt, str], float]
NOISE_LETTERS = "bcdfghjklmnpqrstvwxz"  # no vowels: no word of any list, and no rule takes it for language


@dataclass(frozen=True)
class ScriptedModel:
    """``says(prompt, sample)`` gives the reply; ``likes(prompt, continuation)`` the log-likelihood (nats).

    ``name`` stands for the weights: two scripts need two names. ``num_asked`` counts prompts per call of ``answer``.
    """

    name: str
    says: Says
    likes: Likes | None = None
    rows_per_batch: int = 16
    num_asked: list[int] = field(default_factory=list)

    @property
    def identity(self) -> Mapping[str, str]:
        """The script's name."""
        return {"weights": f"scripted:{self.name}"}

    @property
    def template_sha256(self) -> str | None:
        """Scripts have no template."""
        return None

    @property
    def scores(self) -> bool:
        """Whether likelihoods are scripted."""
        return self.likes is not None

    @property
    def side_by_side(self) -> int:
        """One batch at a time."""
        return 1

    def unanswerable(self, prompt: Prompt) -> str | None:
        """A script answers everything."""
        return None

    def unscorable(self, prompt: Prompt, continuations: Sequence[str]) -> str | None:
        """A script has no length that it could not read."""
        return None if self.scores else "no-likelihood"

    def undecodable(self, decoding: Decoding) -> str | None:
        """A script answers whatever the decoding."""
        return None

    def lacks(self, token: str) -> str | None:
        """A script knows every token."""
        return None

    def batches(self, prompts: Sequence[Prompt], decoding: Decoding) -> list[list[int]]:
        """Return canonical batches by name."""
        order = sorted(range(len(prompts)), key=lambda index: prompts[index].name)
        return [order[first : first + self.rows_per_batch] for first in range(0, len(order), self.rows_per_batch)]

    def answer(self, prompts: Sequence[Prompt], decoding: Decoding, seed: int) -> list[list[Reply]]:
        """Return what the script says."""
        self.num_asked.append(len(prompts))
        return [[self._reply(prompt, sample) for sample in range(decoding.samples)] for prompt in prompts]

    def _reply(self, prompt: Prompt, sample: int) -> Reply:
        said = self.says(prompt, sample)
        return split_thought(Reply(text=said) if isinstance(said, str) else said)

    def score(
        self, requests: Sequence[tuple[Prompt, tuple[str, ...]]], on_progress: Callable[[int, int], None]
    ) -> list[list[float]]:
        """Return the scripted log-likelihoods."""
        assert self.likes is not None
        scores = [[self.likes(prompt, each) for each in continuations] for prompt, continuations in requests]
        on_progress(len(requests), len(requests))
        return scores


def noise(prompt: Prompt, sample: int) -> str:
    """Return letters without meaning. Stream: ``noise/<name>/<sample>``."""
    random = stream(0, "noise", prompt.name, sample)
    words = ["".join(random.choice(list(NOISE_LETTERS), int(size))) for size in random.integers(2, 9, 30)]
    return " ".join(words)
