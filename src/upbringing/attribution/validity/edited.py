"""Cells of edited weights and of emulated tuning: the pairs that calibrate each; claims on them are evidence L4, with
its fidelity.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from upbringing.attribution.contrasts.estimates import estimate
from upbringing.attribution.evidence.cells import Evidence, Source
from upbringing.attribution.evidence.design import Design, DesignCell
from upbringing.attribution.evidence.pivot import terms_of
from upbringing.attribution.evidence.proxies import PROXIES
from upbringing.attribution.evidence.sources import first_judge, ordered_splits
from upbringing.attribution.validity.fidelity import Fidelities, Fidelity, Pair, fidelity_numbers
from upbringing.attribution.validity.validity import Validity
from upbringing.attribution.words.sentences import NOT_MEASURED, statement, verdict_sentence
from upbringing.base.errors import FormatError
from upbringing.base.streams import stream
from upbringing.formats.findings import Claim
from upbringing.formats.measure_labels import measure_labels
from upbringing.formats.tree import EDITED, EMULATED, FEWEST_CELLS, ContrastSpec, Proxy, StudyInfo, Tree

GIVEN_BACK = "its edit is made of the checkpoint that it stands for"
NO_BEFORE = "the checkpoint whose weights were edited fills no cell"
HOW: Mapping[Proxy, str] = {EDITED: "whose weights were edited", EMULATED: "which was emulated"}


def supporting_specs(specs: Iterable[ContrastSpec], design: Design) -> tuple[ContrastSpec, ...]:
    """Return ``specs``; those with a cell of edited weights as L4, which supports others and decides nothing.

    Raises ``FormatError`` for one that is declared to be more than that.
    """
    found = []
    for spec in specs:
        cell = next((cell for cell in spec.weights if design.is_edited(cell)), None)
        if cell is not None and (spec.level in ("L2", "L3") or spec.role == "primary"):
            raise FormatError(
                f"the contrast {spec.name!r} is {spec.role} and {spec.level}, but has the cell {cell!r}, "
                f"{_how(design, cell)}: make it exploratory and L4, which supports what retrained cells show and "
                "decides nothing"
            )
        found.append(spec if cell is None else spec.model_copy(update={"level": "L4"}))
    return tuple(found)


def require_trained_roles(study: StudyInfo, design: Design) -> None:
    """Raise ``FormatError`` for a claim protocol one of whose roles is played by edited weights."""
    for role, cell in ({} if study.protocol is None else study.protocol.cells).items():
        if design.is_edited(cell):
            raise FormatError(
                f"the protocol's {role} is the cell {cell!r}, {_how(design, cell)}: such a cell supports what "
                "retrained ones show (L4) and decides nothing; name a cell that was trained"
            )


def _how(design: Design, cell: str) -> str:
    return HOW[design.proxies(cell)[-1]]


def fidelities_of(tree: Tree, evidence: Evidence, design: Design, validity: Validity) -> Fidelities:
    """Return how well each kind of proxy predicts the retrained cells that it stands for, on every source of scores.

    Resamples cells from the stream ``(0, "fidelity", measure, condition, split)``. Raises ``FormatError`` for cells
    that stand for what is no retrained cell, or for what another stands for.
    """
    if not design.edited:
        return Fidelities()
    cells = [cell for cell in design.cells.values() if cell.stands_for is not None]
    _check(cells, tree, design)
    found = {}
    for measure in evidence.scores.columns.measure.labels:
        judge = first_judge(evidence, measure)
        for condition in evidence.conditions(measure):
            for split in ordered_splits(evidence, measure):
                source = Source(measure, condition, judge, split)
                for proxy in PROXIES:
                    if _is_asked(evidence, design, source, proxy):
                        own = [cell for cell in cells if _kind(design, cell) == proxy]
                        found[proxy, measure, condition, split] = _fidelity(evidence, validity, own, source, proxy)
    return Fidelities(found)


def _kind(design: Design, cell: DesignCell) -> Proxy:
    """Return what a cell that stands for another is: an emulation is the last thing that is done to a checkpoint."""
    return design.proxies(cell.name)[-1]


def _check(cells: Sequence[DesignCell], tree: Tree, design: Design) -> None:
    taken: dict[tuple[Proxy, str], str] = {}
    for cell in cells:
        other = str(cell.stands_for)
        if other not in design.cells and other.partition("@")[0] in tree.study.left_out:
            continue
        if other not in design.cells or design.is_edited(other):
            why = f"{_how(design, other)} too" if other in design.cells else "which tree.json does not list"
            raise FormatError(f"{cell.name} stands for the cell {other!r}, {why}: name one that was trained")
        first = taken.setdefault((_kind(design, cell), other), cell.name)
        if first != cell.name:
            raise FormatError(f"{first} and {cell.name} both stand for {other}: one edit, one retrained cell")


def _is_asked(evidence: Evidence, design: Design, source: Source, proxy: Proxy) -> bool:
    names = (name for cell in design.cells if proxy in design.proxies(cell) for name in design.cells[cell].checkpoints)
    return any(evidence.values(name, source) is not None for name in names)


def _fidelity(
    evidence: Evidence, validity: Validity, cells: Sequence[DesignCell], source: Source, proxy: Proxy
) -> Fidelity:
    pairs: list[Pair] = []
    left_out: dict[str, str] = {}
    for cell in cells:
        found = _pair(evidence, validity, cell, source)
        if isinstance(found, Pair):
            pairs.append(found)
        else:
            left_out[cell.name] = found
    enough = len(pairs) >= FEWEST_CELLS
    random = stream(0, "fidelity", source.measure, source.condition, source.split or "")
    return Fidelity(source, tuple(pairs), fidelity_numbers(pairs, random) if enough else {}, left_out, proxy)


def _pair(evidence: Evidence, validity: Validity, cell: DesignCell, source: Source) -> Pair | str:
    """Return the effects of an edit and of the retrained cell that it stands for, or why there are none."""
    design, other = validity.design, str(cell.stands_for)
    before = edited_from(design, cell)
    if before is None:
        return NO_BEFORE
    if other not in design.cells:
        return f"{other} was left out of this run"
    if any(set(design.path(name)) & set(design.cells[other].checkpoints) for name in cell.checkpoints):
        return GIVEN_BACK
    reasons = validity.reasons((name, source) for name in (cell.name, other, before))
    if reasons:
        return reasons[0].text
    effects = [
        estimate(evidence, design, terms_of({name: 1.0, before: -1.0}, source)).inference for name in (cell.name, other)
    ]
    if effects[0] is None or effects[1] is None:
        return NOT_MEASURED
    return Pair(cell.name, other, before, effects[0].estimate, effects[1].estimate)


def edited_from(design: Design, cell: DesignCell) -> str | None:
    """Return the cell of the nearest ancestor whose weights were not edited; one of the same arm, if in several."""
    for name in design.path(cell.checkpoints[0])[1:]:
        filled = [other for other in design.cells.values() if name in other.checkpoints]
        if filled and not design.is_edited(filled[0].name):
            own = [other for other in filled if other.arm == cell.arm]
            return (own or filled)[0].name
    return None


def with_fidelity(claims: Sequence[Claim], design: Design, fidelities: Fidelities, tree: Tree) -> tuple[Claim, ...]:
    """Return the claims; those on proxies with how far these predict retrained branches, in fields and words."""
    labels = measure_labels(tree.measures)
    return tuple(
        _with_fidelity(claim, proxies, fidelities, labels.get(claim.measure, claim.measure))
        if (proxies := _proxies_of(claim, design))
        else claim
        for claim in claims
    )


def _proxies_of(claim: Claim, design: Design) -> tuple[Proxy, ...]:
    found = {proxy for cell in claim.weights for proxy in design.proxies(cell)}
    return tuple(proxy for proxy in PROXIES if proxy in found)


def _with_fidelity(claim: Claim, proxies: tuple[Proxy, ...], fidelities: Fidelities, label: str) -> Claim:
    status = fidelities.status(Source(claim.measure, claim.condition, claim.judge or "none", claim.split), proxies)
    said = claim.model_copy(update={"fidelity": status, "proxies": proxies})
    return said.model_copy(update={"sentence": verdict_sentence(said, label), "statement": statement(said, label)})
