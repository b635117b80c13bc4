"""Suffixes between text and tokens: what is searched as ids must be read as the same ids wherever its text is put."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from upbringing.base.text_reading import TextReader
from upbringing.models.asking import Prompt
from upbringing.models.local import LocalModel
from upbringing.models.prompt_cache import Tokens
from upbringing.models.suffix_search import Attack, Framed, Gcg, Rules, Searched, search_suffix

UNSTABLE, TOO_LONG, NOT_FINITE = "suffix-not-stable", "longer-than-context", "likelihood-not-finite"


@dataclass(frozen=True)
class Wanted:
    """A prompt by the suffix that stands in it, and the text that its answer is to begin with."""

    behind: Callable[[str], Prompt]
    target: str


@dataclass(frozen=True)
class FoundSuffix:
    """A suffix as text, with how it was found."""

    text: str
    searched: Searched


@dataclass(frozen=True)
class SuffixTexts:
    """Reads suffixes as they stand behind a request, parted from it by a space."""

    local: LocalModel

    @cached_property
    def _reader(self) -> TextReader:
        return TextReader(self.local.tokenizer)

    def ids(self, text: str) -> Tokens:
        """Return the ids of a suffix behind a request."""
        return tuple(self._reader.ids([f" {text}"])[0])

    def text(self, ids: Tokens) -> str | None:
        """Return the suffix that ids spell; ``None`` for one that is not printable ASCII between two words."""
        spelled = str(self.local.tokenizer.decode(list(ids), clean_up_tokenization_spaces=False))
        text = spelled[1:] if spelled.startswith(" ") else spelled  # some tokenizers drop the first space
        return text if text and text == text.strip() and text.isascii() and text.isprintable() else None

    def survives(self, ids: Tokens) -> bool:
        """Return whether the text of ``ids`` is read as ``ids`` again."""
        text = self.text(ids)
        return text is not None and self.ids(text) == ids

    def allowed(self, vocabulary: int) -> NDArray[np.bool_]:
        """Return which tokens may stand in a suffix: no added ones, none that the tokenizer lacks, printable ASCII."""
        tokenizer = self.local.tokenizer
        found = np.zeros(vocabulary, dtype=bool)
        known = [
            token for token in range(min(vocabulary, len(tokenizer))) if token not in tokenizer.added_tokens_decoder
        ]
        for token in known:
            text = str(tokenizer.decode([token], clean_up_tokenization_spaces=False))
            found[token] = bool(text) and text.isascii() and text.isprintable()
        return found

    def framed(self, wanted: Wanted, suffix: str) -> Framed | None:
        """Return ``wanted`` around ``suffix``; ``None`` where the whole prompt does not hold the suffix's own ids."""
        prompt = wanted.behind(suffix)
        whole, own = self.local.renderer.prompt(prompt), self.ids(suffix)
        starts = range(len(whole) - len(own), -1, -1)
        place = next((start for start in starts if whole[start : start + len(own)] == own), None)
        if place is None or not own:
            return None
        return Framed(whole[:place], whole[place + len(own) :], self.local.renderer.continuation(prompt, wanted.target))

    def stands(self, wanted: Wanted, frame: Framed, ids: Tokens) -> bool:
        """Return whether the whole prompt with the text of ``ids`` is read as ``ids`` inside ``frame``."""
        text = self.text(ids)
        whole = (*frame.before, *ids, *frame.after)
        return text is not None and self.local.renderer.prompt(wanted.behind(text)) == whole


def find_suffix(
    local: LocalModel,
    wanted: Sequence[Wanted],
    settings: Gcg,
    random: np.random.Generator,
    on_step: Callable[[int], None],
) -> FoundSuffix | str:
    """Return the suffix that ``settings`` find on ``local`` for all of ``wanted``, or the reason why there is none."""
    texts = SuffixTexts(local)
    initial = texts.ids(settings.initial)
    frames = [texts.framed(each, settings.initial) for each in wanted]
    known = tuple(frame for frame in frames if frame is not None and frame.target)
    if len(known) < len(wanted) or not known or texts.text(initial) != settings.initial:
        return UNSTABLE
    if max(len(each.before) + len(initial) + len(each.after) + len(each.target) for each in known) > local.context:
        return TOO_LONG

    def fits(ids: Tokens) -> bool:
        return all(texts.stands(each, frame, ids) for each, frame in zip(wanted, known, strict=True))

    vocabulary = int(local.network.get_input_embeddings().weight.shape[0])
    rules = Rules(texts.allowed(vocabulary), texts.survives, fits)
    found = search_suffix(
        Attack(local.computing, known, local.shares_prompts), initial, settings, rules, random, on_step
    )
    text = texts.text(found.suffix)
    return FoundSuffix(text, found) if text is not None and np.isfinite(found.loss) else NOT_FINITE
