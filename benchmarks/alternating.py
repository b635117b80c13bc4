"""What all benchmarks share: the machine in one line, sides that take turns, and a ratio beside its target.

A shared machine changes its speed within seconds, so sides are compared only within a round: each round runs every
side once, and the median over rounds of the ratios inside a round is what counts.
"""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version


def machine(*, precision: str, threads: int, also: Sequence[str] = ()) -> str:
    """Return the line that says what a number was measured on. ``also``: further packages to name."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", *also))
    busy = os.getloadavg()[0]
    return (
        f"machine: {os.cpu_count()} cores ({platform.machine()}), {threads} thread(s) per process, {precision}, "
        f"{packages}, load {busy:.1f} at the start"
    )


def light_machine() -> str:
    """Return that line for a benchmark without a model."""
    return (
        f"machine: {os.cpu_count()} cores ({platform.machine()}), no model, load {os.getloadavg()[0]:.1f} at the start"
    )


def alternate(sides: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Return what each side measured in each round; every round calls each side once, in order."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            found[name].append(side())
    return found


@dataclass(frozen=True)
class Ratio:
    """A ratio of two sides, one value per round."""

    values: tuple[float, ...]

    @classmethod
    def of(cls, above: Sequence[float], below: Sequence[float]) -> Ratio:
        """Return ``above / below``, round by round."""
        return cls(tuple(left / right for left, right in zip(above, below, strict=True)))

    @property
    def median(self) -> float:
        """The value that counts."""
        return statistics.median(self.values)

    def __str__(self) -> str:
        """Return the median with the range over rounds."""
        return f"{self.median:.2f} [{min(self.values):.2f}..{max(self.values):.2f}]"


def at_least(value: float, target: float) -> str:
    """Return the target and whether a number reached it."""
    return f"target at least {target:g}: {'met' if value >= target else 'MISSED'}"


def at_most(value: float, target: float) -> str:
    """Return the target and whether a number kept below it."""
    return f"target at most {target:g}: {'met' if value <= target else 'MISSED'}"


def spread(values: Sequence[float], form: str = ",.0f") -> str:
    """Return the median of ``values`` with their range."""
    return f"{statistics.median(values):{form}} [{min(values):{form}}..{max(values):{form}}]"
