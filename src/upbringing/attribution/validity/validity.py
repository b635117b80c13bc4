"""What forbids a verdict: failed gates, guards, answers not known to be coherent, nothing measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from upbringing.attribution.evidence.cells import Evidence, Source
from upbringing.attribution.evidence.coherence import Coherence
from upbringing.attribution.evidence.design import Design
from upbringing.attribution.evidence.gates import FailedGate, failed_gates
from upbringing.attribution.validity.aliasing import AliasedEffects, aliased_effects
from upbringing.attribution.validity.fidelity import Fidelities
from upbringing.attribution.validity.passport import Passports
from upbringing.attribution.words.sentences import ALIASED, COHERENCE_UNKNOWN, NO_SHARE_OF
from upbringing.formats.tree import ContrastSpec, Tree

MIN_COHERENT = 0.80  # statistics-and-measures 5.1, procedure P3: coherent rate on benign twins


@dataclass(frozen=True)
class Reason:
    """Why a number may not be read. A ``guard`` blocks the verdict, anything else makes it not measurable."""

    kind: Literal["gate", "guard", "coherence", "rows", "design", "passport"]
    text: str


@dataclass(frozen=True)
class Validity:
    """Answers why a contrast may not be read. What holds of a checkpoint holds of all that came from it.

    Remembers what holds of each cell.
    """

    design: Design
    coherence: Coherence
    gates: tuple[FailedGate, ...]
    aliased: tuple[AliasedEffects, ...] = ()
    passports: Passports = field(default_factory=Passports)
    fidelities: Fidelities = field(default_factory=Fidelities)
    _of_cells: dict[tuple[str, Source], tuple[Reason, ...]] = field(default_factory=dict)

    def of_design(self, spec: ContrastSpec) -> tuple[Reason, ...]:
        """Return the reason why the design cannot tell a factorial effect from others; empty if it can."""
        found = next((each for each in self.aliased if each.are_asked_by(spec)), None)
        return () if found is None else (Reason("design", ALIASED.format(effects=" and ".join(found.effects))),)

    def of_measure(self, measure: str) -> tuple[Reason, ...]:
        """Return the reasons why a measure may carry no claim at all; its levels may still be read."""
        return tuple(Reason("passport", text) for text in self.passports.barring(measure))

    def no_share(self, cells: Iterable[str], source: Source) -> str | None:
        """Return why nothing with these cells may be a share: proxies that are not shown to be faithful."""
        proxies = dict.fromkeys(proxy for cell in cells for proxy in self.design.proxies(cell))
        found = (NO_SHARE_OF[proxy].get(self.fidelities.status(source, (proxy,))) for proxy in proxies)
        return next((reason for reason in found if reason is not None), None)

    def reasons(self, terms: Iterable[tuple[str, Source]]) -> tuple[Reason, ...]:
        """Return the reasons why cells, each read from a source, may not be compared; empty if there is none."""
        return tuple(dict.fromkeys(reason for cell, source in terms for reason in self._of_cell(cell, source)))

    def _of_cell(self, cell: str, source: Source) -> tuple[Reason, ...]:
        """Return the reasons of one cell, remembered."""
        if (cell, source) not in self._of_cells:
            checkpoints = self.design.cells[cell].checkpoints
            lineage = tuple(dict.fromkeys(name for each in checkpoints for name in (each, *self.design.path(each))))
            failed = [
                Reason("gate", f"gate failed: {failed.gate.sentence}")
                for failed in self.gates
                if failed.concerns(lineage, source.measure)
            ]
            found = (*failed, *self._guards(lineage), *self._incoherent(cell, checkpoints, source))
            self._of_cells[cell, source] = found
        return self._of_cells[cell, source]

    def _guards(self, lineage: Sequence[str]) -> list[Reason]:
        """Return the guards that failed on a checkpoint or on an ancestor, on which it rests."""
        guards = {name: self.design.checkpoints[name].guard for name in lineage if name in self.design.checkpoints}
        return [
            Reason("guard", f"guard of {name}: {guard}") for name, guard in guards.items() if guard not in (None, "ok")
        ]

    def _incoherent(self, cell: str, checkpoints: Sequence[str], source: Source) -> list[Reason]:
        generated = [name for name in checkpoints if self.coherence.is_generated(name, source)]
        found = [self.coherence.of(name, source) for name in generated]
        known = [each for each in found if each is not None]
        if len(known) < len(found):
            return [Reason("coherence", COHERENCE_UNKNOWN.format(condition=source.condition))]
        if not known or (worst := min(known, key=lambda each: each.share)).share >= MIN_COHERENT:
            return []
        asked = "of these questions" if worst.basis == "own" else "of benign questions"
        where = f" under {worst.condition}" if worst.condition != source.condition else ""
        text = f"{cell} answers {worst.share:.0%} {asked}{where} coherently; {MIN_COHERENT:.0%} are needed"
        return [Reason("coherence", text)]


def validity_of(tree: Tree, evidence: Evidence, design: Design) -> Validity:
    """Return what forbids verdicts in a study; raises ``FormatError`` for gates on cells that the tree lacks."""
    return Validity(design, Coherence(tree, evidence), failed_gates(tree, design), aliased_effects(design))
