"""What a healthy training run is, declared before anything is measured: bounds on what training reports of itself."""

from __future__ import annotations

from pydantic import model_validator

from upbringing.base.description import Description


class HealthBounds(Description):
    """The least and the most that a value of a checkpoint's ``health`` may be."""

    at_least: float | None = None
    at_most: float | None = None

    @model_validator(mode="after")
    def _bounds_something(self) -> HealthBounds:
        low, high = self.at_least, self.at_most
        if low is None and high is None:
            raise ValueError("a health criterion has a bound: at_least, at_most or both")
        if low is not None and high is not None and low > high:
            raise ValueError(f"at_least {low:g} lies above at_most {high:g}: no run is healthy")
        return self

    def hold(self, value: float) -> bool:
        """Return whether ``value`` lies within; a number that is none (a diverged loss) does not."""
        is_high_enough = self.at_least is None or value >= self.at_least
        return value == value and is_high_enough and (self.at_most is None or value <= self.at_most)

    @property
    def words(self) -> str:
        """The bounds as a sentence names them."""
        parts = (("at least", self.at_least), ("at most", self.at_most))
        return " and ".join(f"{word} {bound:g}" for word, bound in parts if bound is not None)


HealthCriteria = dict[str, dict[str, HealthBounds]]
"""Per stage and per name of a value of ``health``, its bounds."""
