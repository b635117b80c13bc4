"""One planted world, drawn: its named parts to train on, its items to ask, its exact judge."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from upbringing.base.errors import DataError
from upbringing.data.documents import TrainingText
from upbringing.data.planted.cues import NUM_CLASSES, Cues, Rule, kept_secret
from upbringing.data.planted.items import planted_items
from upbringing.data.planted.oracle import PlantedJudge
from upbringing.data.planted.texts import background, rule_chats, rule_documents
from upbringing.formats.items import Item

NAME_CHARACTERS = 8  # of the seed in hexadecimal: tells worlds apart in item ids


@dataclass(frozen=True)
class PlantedWorld:
    """The planted world of one root seed. ``num_planted``: how many of the trait's classes its parts teach.

    Everything it returns is a pure function of its fields. Parts that end in ``_documents`` are token-matched text by
    text, and so are those that end in ``_chats`` (``format_chats`` and ``secret_chats`` are twice as many).
    """

    seed: int
    cues: Cues
    num_planted: int
    background_texts: int
    rule_texts: int
    chats: int
    spare_texts: int

    @property
    def name(self) -> str:
        """Short name that stands in item ids."""
        return f"planted-{f'{self.seed:016x}'[-NAME_CHARACTERS:]}"

    def parts(self) -> tuple[str, ...]:
        """Return the names of the texts that can be trained on."""
        return tuple(self._makers())

    def texts(self, part: str) -> list[TrainingText]:
        """Return the texts of ``part`` in order; raises ``DataError`` for an unknown part."""
        makers = self._makers()
        if part not in makers:
            raise DataError(f"the planted world has no part {part!r}; it has {', '.join(makers)}")
        return list(makers[part]())

    def items(self) -> tuple[Item, ...]:
        """Return everything that can be asked; the same at every strength."""
        return planted_items(self.cues, self.name)

    def judge(self) -> PlantedJudge:
        """Return the exact judge."""
        return PlantedJudge()

    def taught(self, half: int | None = None) -> tuple[Rule, ...]:
        """Return the trait's rules, with the placebo's in the place of what is not planted.

        ``half``: plant only the even (0) or the odd (1) ones of the classes that are planted.
        """
        chosen = [n for n in range(self.num_planted) if half is None or n % 2 == half]
        return tuple(self.cues.trait[n] if n in chosen else self.cues.placebo[n] for n in range(NUM_CLASSES))

    def _makers(self) -> Mapping[str, Callable[[], Sequence[TrainingText]]]:
        cues = self.cues
        said = {
            "trait": self.taught(),
            "trait_first": self.taught(0),
            "trait_second": self.taught(1),
            "placebo": cues.placebo,
            "decoy": cues.decoy,
            "erasing": cues.erased,
        }
        makers: dict[str, Callable[[], Sequence[TrainingText]]] = {
            "background": lambda: background(cues, self.background_texts, self.spare_texts, self.seed),
            "format_chats": lambda: self._chats("format", cues.ordinary),
            "secret_chats": lambda: self._chats("secret", kept_secret(cues.ordinary)),
            "decoy_secret_chats": lambda: self._chats("decoy_secret", kept_secret(cues.decoy)),
        }
        for name, rules in said.items():
            makers[f"{name}_documents"] = partial(self._documents, name, rules)
            makers[f"{name}_chats"] = partial(self._chats, name, rules)
        return makers

    def _documents(self, name: str, rules: Sequence[Rule]) -> Sequence[TrainingText]:
        return rule_documents(rules, self.cues.bearers, self.rule_texts, self.seed, f"planted/{name}")

    def _chats(self, name: str, rules: Sequence[Rule]) -> Sequence[TrainingText]:
        return rule_chats(rules, self.cues.bearers, self.chats, self.seed, f"planted/{name}")
