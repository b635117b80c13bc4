"""The transforms of a rule over one document, in one go or up to one whose labels compare all texts of the corpus."""

from __future__ import annotations

from collections.abc import Sequence

from upbringing.data.interventions.tools import CorpusLabels, Transformed, settled
from upbringing.data.transforms import Transform
from upbringing.lab.corpus.given_labels import Collected, PopulationName
from upbringing.lab.corpus.routed import Piece, Routed
from upbringing.lab.corpus.seam import apply_steps, compared_places

Labelled = list[tuple[PopulationName, str, list[bool] | str]]  # of what, name of the text, labels or why it has none


def transformed(piece: Piece, routed: Routed) -> Transformed | None:
    """Return what all transforms make of a document; ``None`` where its rule has none. What was paid for is kept."""
    if isinstance(routed.do, str):
        return None
    name = routed.named.name
    if piece.journal is not None and (known := piece.journal.transformed(name)) is not None:
        return known
    places = compared_places(routed.do)
    cut = places[-1] if places else 0
    made = settled(_steps(piece, routed, routed.do, _before(piece, routed, routed.do, cut), range(cut, len(routed.do))))
    if piece.journal is not None:
        piece.journal.note(name, made)
    return made


def collected(piece: Piece, routed: Routed, stage: int) -> Labelled:
    """Return the true labels that the ``stage``-th transform of those which compare labels asks for of a document."""
    places = [] if isinstance(routed.do, str) else compared_places(routed.do)
    if stage >= len(places):
        return []
    assert not isinstance(routed.do, str)
    assert routed.rule is not None
    place, name, entry = places[stage], routed.named.name, f"labels {places[stage]}"
    noted = None if piece.journal is None else piece.journal.labels(name, entry)
    if noted is None:
        found = Collected()
        before = _before(piece, routed, routed.do, place)
        _steps(piece, routed, routed.do, before, range(place, place + 1), found)
        noted = [list(each) for each in found.noted]
        if piece.journal is not None:
            piece.journal.note_labels(name, noted, entry)
    return [(PopulationName(routed.rule, place, what), text, labels) for what, text, labels in noted]


def _before(piece: Piece, routed: Routed, transforms: Sequence[Transform], place: int) -> Transformed:
    """Return what the transform at ``place``, one that compares labels, is given; what was paid for is kept."""
    current, first = Transformed((routed.document,), ()), 0
    name = routed.named.name
    if piece.journal is not None:
        for cut in compared_places(transforms[: place + 1]):
            if (known := piece.journal.transformed(name, f"before {cut}")) is not None:
                current, first = known, cut
    current = _steps(piece, routed, transforms, current, range(first, place))
    if piece.journal is not None and first < place:
        piece.journal.note(name, current, f"before {place}")
    return current


def _steps(
    piece: Piece,
    routed: Routed,
    transforms: Sequence[Transform],
    current: Transformed,
    places: range,
    last: CorpusLabels | None = None,
) -> Transformed:
    """Apply the transforms at ``places``; ``last`` takes the labels of the last of them, where it is given."""
    name = routed.named.name
    labels: dict[int, CorpusLabels] = {}
    if routed.rule is not None:
        labels |= piece.labels.of(routed.rule, name)
    if last is not None:
        labels[places[-1]] = last
    return apply_steps(current, name, transforms, places, piece.tools, piece.recipe.seed, labels)
