"""Every twin that an item names must be asked: measures that compare twins leave out whoever is alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from upbringing.base.errors import DataError
from upbringing.base.nearest import did_you_mean
from upbringing.data.item_files import ItemFile, read_items
from upbringing.formats.items import Item
from upbringing.lab.building.library import Library


def require_twins(items: Sequence[Item], names: Sequence[str], library: Library) -> None:
    """Raise ``DataError`` for an item whose twin is none of ``items``, which are those of the data ``names``.

    A twin that a file holds beyond its first ``clusters`` is known: the study asks it on purpose no more.
    """
    known = {item.id for item in items}
    lone = [item for item in items if item.twin is not None and item.twin not in known]
    if lone:
        known |= set(_ids_of_whole_files(names, library))
    wrong = [item for item in lone if item.twin not in known]
    if wrong:
        first = wrong[0]
        more = f" (and {len(wrong) - 1} more name one that is not there)" if len(wrong) > 1 else ""
        hint = did_you_mean(str(first.twin), known, before=" (")
        hint = f"{hint})" if hint else ""
        raise DataError(
            f"the item {first.id!r} names the twin {first.twin!r}, which no item of {', '.join(names)} is{more}: "
            f"correct the id{hint}, ask the data that hold it too (prompts), or leave twin out"
        )


def _ids_of_whole_files(names: Sequence[str], library: Library) -> Iterator[str]:
    """Yield the ids that files hold of which a study asks the first clusters only."""
    for name in names:
        description, _ = library.book.describe(name)
        if isinstance(description, ItemFile) and description.clusters is not None:
            whole = description.model_copy(update={"clusters": None})
            yield from (item.id for item in read_items(whole, library.book.folder))
