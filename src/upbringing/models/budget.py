"""A spend cap that is reserved before each call, so that it is never exceeded, not even by calls in flight."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from upbringing.base.description import Description
from upbringing.base.errors import EndpointError, StudyError
from upbringing.base.files import append_line, whole_lines

PER_MILLION = 1e6


class Price(Description):
    """US dollars per million tokens."""

    input_usd: float = Field(ge=0)
    output_usd: float = Field(ge=0)

    def cost(self, input_tokens: int, output_tokens: int) -> float:
        """Return the cost (USD) of one call."""
        return (input_tokens * self.input_usd + output_tokens * self.output_usd) / PER_MILLION


class Cap(Description):
    """The most that may be spent; ``None`` = no cap of that kind. ``unlimited``: that there is none is meant."""

    usd: float | None = Field(default=None, ge=0)
    calls: int | None = Field(default=None, ge=0)
    unlimited: bool = False

    @property
    def is_declared(self) -> bool:
        """Whether somebody said how much may be spent, or that it does not matter."""
        return self.unlimited or self.usd is not None or self.calls is not None

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if self.unlimited and (self.usd is not None or self.calls is not None):
            raise ValueError("a cap of dollars or calls is not unlimited: remove one of them")
        return self


class CapReachedError(EndpointError):
    """The next call could break the cap. Nothing was spent on it; with a higher cap the run goes on."""


@dataclass
class Budget:
    """What was spent and what calls in flight may still cost. Safe for threads.

    ``book``: a file that remembers it, so that the cap holds over interrupted and repeated runs: a reservation is
    written before its call and corrected after it, so a killed run counts what it may have cost. Raises ``StudyError``
    when made with a cap in dollars but no price: then nothing could be capped.
    """

    cap: Cap
    price: Price | None = None
    spent_usd: float = 0.0
    num_calls: int = 0
    book: Path | None = None
    _reserved_usd: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __post_init__(self) -> None:
        if self.cap.usd is not None and self.price is None:
            raise StudyError(
                "a cap in dollars needs the endpoint's price: add price: {input_usd: ..., output_usd: ...}"
            )
        for entry in _entries(self.book) if self.book is not None else ():
            self.spent_usd += entry[0]
            self.num_calls += entry[1]

    def reserve(self, max_input_tokens: int, max_output_tokens: int) -> float:
        """Set aside the most this call can cost and return it; raises ``CapReachedError`` if the cap would break."""
        cost = self.price.cost(max_input_tokens, max_output_tokens) if self.price else 0.0
        with self._lock:
            total = self.spent_usd + self._reserved_usd + cost
            if self.cap.usd is not None and total > self.cap.usd:
                raise CapReachedError(
                    f"the spend cap of ${self.cap.usd:.2f} would be exceeded (spent ${self.spent_usd:.4f}, in flight "
                    f"${self._reserved_usd:.4f}, next call up to ${cost:.4f}): raise the cap and run again to go on"
                )
            if self.cap.calls is not None and self.num_calls >= self.cap.calls:
                raise CapReachedError(f"the cap of {self.cap.calls} calls is reached: raise it and run again to go on")
            self._note(cost, 1)
            self._reserved_usd += cost
            self.num_calls += 1
        return cost

    def settle(self, reserved: float, input_tokens: int | None, output_tokens: int | None) -> None:
        """Replace a reservation by what the call cost; without counts by the server, or more, by the reservation."""
        known = self.price is not None and input_tokens is not None and output_tokens is not None
        cost = reserved
        if known and self.price is not None:
            cost = min(reserved, self.price.cost(input_tokens or 0, output_tokens or 0))
        with self._lock:
            self._note(cost - reserved, 0)
            self._reserved_usd -= reserved
            self.spent_usd += cost

    def _note(self, usd: float, calls: int) -> None:
        if self.book is not None and (usd or calls):
            append_line(self.book, json.dumps({"usd": usd, "calls": calls}))


def _entries(book: Path) -> list[tuple[float, int]]:
    """Return the (dollars, calls) of every whole line; a torn line is a call that was not made, or a correction."""
    found = []
    for line in whole_lines(book):
        try:
            entry = json.loads(line)
            found.append((float(entry["usd"]), int(entry["calls"])))
        except (ValueError, KeyError, TypeError):
            continue
    return found
