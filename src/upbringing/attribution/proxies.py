"""What stands in for training: checkpoints whose weights were edited, or that were emulated in logit space."""

from __future__ import annotations

from collections.abc import Iterable

from upbringing.formats.tree import EDITED, EMULATED, Proxy, Tree

PROXIES: tuple[Proxy, ...] = (EDITED, EMULATED)  # an emulation is the last thing that is done to a checkpoint


def stand_ins(tree: Tree, stand_for_others: Iterable[str]) -> dict[str, frozenset[Proxy]]:
    """Return the checkpoints that were edited or emulated, with how, as far as the tree says.

    ``stand_for_others``: those declared to predict retrained ones; one that does not say how was edited.
    """
    found: dict[str, frozenset[Proxy]] = {}
    for each in tree.checkpoints:
        kinds = {stage.kind for stage in each.stages}
        if proxies := frozenset(proxy for proxy in PROXIES if proxy in kinds):
            found[each.id] = proxies
    for name in stand_for_others:
        found.setdefault(name, frozenset({EDITED}))
    return found
