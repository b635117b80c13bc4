"""Room for counterparts: arms whose windows, order and places agree, so that they differ only in what is written there.

Packing looks at lengths alone. Texts that take the place of each other get the room of the longest one; what a shorter
one leaves free is padding, which carries no loss and is seen by nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from upbringing.base.errors import DataError
from upbringing.data.rendering import Rendered


def with_room(
    texts: Sequence[Rendered], others: Mapping[str, Sequence[Rendered]], name: str, context: int
) -> list[Rendered]:
    """Return ``texts``, the data ``name``, each with room for its counterpart in all ``others`` (by name).

    Counterparts stand in the same order. Raises ``DataError`` where there are more or fewer, and for texts longer than
    ``context`` tokens that would be cut at other places than their counterparts.
    """
    for other, counterparts in others.items():
        if len(counterparts) != len(texts):
            raise DataError(
                f"the data {name!r} has {len(texts)} texts, {other!r} has {len(counterparts)}: matched data hold one "
                "text for each of the other, in the same order"
            )
    found = []
    for number, text in enumerate(texts):
        counterparts = [each[number] for each in others.values()]
        room = max([text.size, *(each.size for each in counterparts)])
        if room <= context:
            found.append(replace(text, reserved=room))
            continue
        if any(_shape(each) != _shape(text) for each in counterparts):
            raise DataError(
                f"text {number} of the data {name!r} cannot be matched: it or a counterpart has {room} tokens, the "
                f"stage's context is {context}, and they would be cut at different places: raise the context or "
                "shorten the text"
            )
        found.append(text)
    return found


def _shape(text: Rendered) -> tuple[int, tuple[tuple[int, int], ...]]:
    return len(text.ids), tuple((part.place, len(part.ids)) for part in text.isolated)
