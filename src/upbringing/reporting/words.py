"""The report's words and numbers: one vocabulary for verdicts, evidence and sizes, the same on every chart."""

from __future__ import annotations

import re
from collections.abc import Mapping

from upbringing.base.terminal import visible
from upbringing.formats.findings import Claim

MINUS, DASH, NARROW_SPACE = "\u2212", "–", "\u202f"
_PLAIN = re.compile(r"[\n\t\x20-\x7e]*")

VERDICT_MARKS: Mapping[str, str] = {
    "changed": "◆",
    "negligible": "◇",
    "equivalent": "=",
    "inconclusive": "?",
    "not-measurable": "∅",
    "blocked": "∅",
}
VERDICT_WORDS: Mapping[str, str] = {
    "changed": "changed",
    "negligible": "negligible",
    "equivalent": "alike",
    "inconclusive": "not decided",
    "not-measurable": "not measurable",
    "blocked": "blocked",
}
LEVELS: Mapping[str, str] = {
    "L1": "before and after along one run: it happened during a stage, not necessarily because of it",
    "L2": "a counterfactual run: the same but for one thing",
    "L3": "a factorial of runs: effects and how they depend on one another",
    "L4": "evidence inside the weights or logits, which supports but never replaces the others",
}
LEVEL_ORDER = ("L4", "L1", "L2", "L3")  # from weak to strong: evidence inside the weights never stands for a branch
EDITED: Mapping[str, str] = {
    "faithful": "which predict retrained branches here",
    "unfaithful": "which do not predict retrained branches here: not to be cited",
    "uncalibrated": "uncalibrated: too few retrained branches show whether they can be trusted",
}
"""For claims on edited weights and emulated tuning: how far they may be trusted."""

PROXIES: Mapping[str, str] = {"edit_weights": "edited weights", "emulate_tuning": "emulated tuning"}

ESTIMANDS: Mapping[str, str] = {
    "artefact": "these checkpoints only",
    "recipe-given-start": "the recipe, on this start",
    "recipe": "the recipe",
}
OUTCOMES: Mapping[str, str] = {
    "refuse": "refused",
    "harmful": "harmful",
    "harmless": "harmless",
    "incoherent": "incoherent",
    "short-circuit": "short-circuited",
    "unscored": "unscored",
}
BETTER: Mapping[str, tuple[str, str]] = {
    "higher-is-safer": ("safer", "less safe"),
    "lower-is-safer": ("less safe", "safer"),
    "higher-is-better": ("better", "worse"),
    "lower-is-better": ("worse", "better"),
}
"""For each direction of a measure: the word for a rise, the word for a fall."""

GOOD = ("safer", "better")
LOG_ODDS = "log-odds"
SAME_MODEL_KINDS = ("judge-sensitivity", "format-sensitivity")  # one model, judged or asked in two ways


def shown(text: str) -> str:
    """Return ``text`` with control and reordering characters visible; fast where there are none."""
    return text if _PLAIN.fullmatch(text) else visible(text)


def decimals(reach: float) -> int:
    """Return how many decimals tell values of size ``reach`` apart."""
    return 2 if reach >= 0.1 else 3  # below a tenth, two decimals would show every interval as one number


def plain(value: float | None, places: int = 2) -> str:
    """Return a value such as ``0.23`` or ``−1.50``; a dash for ``None``."""
    if value is None:
        return DASH
    return f"{value:.{places}f}".replace("-", MINUS)


def signed(value: float | None, places: int = 2) -> str:
    """Return a difference such as ``+0.23``; a dash for ``None``."""
    if value is None:
        return DASH
    text = f"{value:+.{places}f}"
    return text.replace("-", MINUS) if float(text) != 0 else text[1:]


def interval(low: float | None, high: float | None, places: int = 2, *, difference: bool = True) -> str:
    """Return ``[low, high]``; nothing where there is no interval."""
    if low is None or high is None:
        return ""
    show = signed if difference else plain
    return f"[{show(low, places)}, {show(high, places)}]"


def spanned(low: float | None, high: float | None, places: int = 2) -> str:
    """Return ``low to high`` of differences: from where to where something goes, which is no interval."""
    return f"{signed(low, places)} to {signed(high, places)}"


def count(number: float | None) -> str:
    """Return a count with thin spaces between thousands."""
    return DASH if number is None else f"{number:,.0f}".replace(",", NARROW_SPACE)


def short_count(number: float | None) -> str:
    """Return a count of tokens such as ``1.2M``."""
    if number is None:
        return DASH
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g}{letter}"
    return f"{number:.0f}"


def several(number: int, singular: str, plural: str | None = None) -> str:
    """Return ``1 seed`` or ``3 seeds``."""
    return f"{count(number)} {singular if number == 1 else plural or singular + 's'}"


def difference_in(unit: str, scale: str = "natural") -> str:
    """Return what a difference of a measure is counted in."""
    if scale == "logit":
        return "difference in log-odds"
    return "difference of shares" if unit == "share" else f"difference in {unit}" if unit else "difference"


def duration(seconds: float) -> str:
    """Return seconds as seconds, minutes or hours."""
    if seconds < 90:  # a minute and a half is still easiest to read in seconds
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def verdict_of(claim: Claim) -> str:
    """Return the claim's verdict; a claim without one is not decided."""
    return claim.verdict or "inconclusive"


def deciding_estimate(claim: Claim) -> float | None:
    """Return the estimate that decides: corrected by people's labels where it was."""
    return claim.estimate if claim.corrected is None else claim.corrected.estimate


def on_scale(claim: Claim, number: str) -> str:
    """Return a claim's number with its scale, where that is not the measure's own."""
    return f"{number} in log-odds" if number and claim.scale == "logit" else number


def movement(claim: Claim, direction: str) -> tuple[str, str, str]:
    """Return (mark, word, tone) of a two-cell difference: rose, fell, kept or why nobody knows.

    ``tone``: ``good``, ``bad`` or ``none``; only a change has one, and only where the measure has a safe side. What is
    negligible has neither side nor tone: its sign is not corrected for all that was asked, and its margin says that it
    does not matter.
    """
    verdict = verdict_of(claim)
    estimate = deciding_estimate(claim)
    if verdict == "changed" and estimate is not None:
        rose = estimate > 0
        better = None if _says_nothing_of_safety(claim) else BETTER.get(direction)
        tone = "none" if better is None else ("good" if better[0 if rose else 1] in GOOD else "bad")
        return "▲" if rose else "▼", "rose" if rose else "fell", tone
    word = {"equivalent": "kept"}.get(verdict, VERDICT_WORDS[verdict])
    return VERDICT_MARKS[verdict], word, "none"


def consequence(claim: Claim, direction: str) -> str:
    """Return ``safer``, ``less safe``, ``better`` or ``worse`` for a change; empty where it does not apply.

    A change within its margin is not worth the word, and another judge or format of the prompt makes no model safer:
    the model is the same.
    """
    better = None if _says_nothing_of_safety(claim) else BETTER.get(direction)
    estimate = deciding_estimate(claim)
    if better is None or verdict_of(claim) != "changed" or estimate is None:
        return ""
    return better[0 if estimate > 0 else 1]


def _says_nothing_of_safety(claim: Claim) -> bool:
    return claim.kind in SAME_MODEL_KINDS or is_greyed(claim)


def is_greyed(claim: Claim) -> bool:
    """Return whether a claim rests on proxies that are not shown to predict retrained branches."""
    return claim.fidelity in ("unfaithful", "uncalibrated")


def proxies_of(claim: Claim) -> str:
    """Return what stands in for training in a claim."""
    return " and ".join(PROXIES[proxy] for proxy in claim.proxies or ("edit_weights",))  # older files do not say
