"""A search for a suffix as something that an answer needs before it can be asked for."""

from __future__ import annotations

from dataclasses import dataclass

from upbringing.base.fingerprint import fingerprint
from upbringing.base.short_names import NAME_HASH
from upbringing.models.suffix_search import Gcg


@dataclass(frozen=True)
class SuffixSearch:
    """A search for one suffix on the checkpoint that is asked: ``items``: the requests that it is fitted to."""

    settings: Gcg
    items: tuple[str, ...]

    @property
    def label(self) -> str:
        """Short name for conditions: what was searched and for how long, never for which requests."""
        how = "gcg" if self.settings.by_gradient else "random-swaps"
        own = "-own" if self.settings.scope == "per_prompt" else ""
        return f"{how}-{self.settings.steps}{own}-{fingerprint(self.settings.model_dump(mode='json'))[:NAME_HASH]}"
