"""Items whose twin is not among the items: somebody else's table may lack it, and nothing is matched with them then."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from upbringing.formats.tree import ItemInfo

LONE = (
    "{num} of {total} items with a twin name one that is not among the items (such as {twin!r} of {item!r}): where "
    "harmful requests are ranked against benign ones, these count as matched with nothing. Correct the ids if they are "
    "there under other names."
)


def lone_twins(items: Sequence[ItemInfo]) -> Iterable[str]:
    """Yield a sentence that counts the items whose twin is none of ``items``, if there are any."""
    known = {item.id for item in items}
    twins = [item for item in items if item.twin is not None]
    lone = [item for item in twins if item.twin not in known]
    if lone:
        yield LONE.format(num=len(lone), total=len(twins), twin=lone[0].twin, item=lone[0].id)
