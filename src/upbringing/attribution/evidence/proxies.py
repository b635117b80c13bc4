"""What stands in for training: checkpoints whose weights were edited, or that were emulated in logit space."""

from __future__ import annotations

from upbringing.formats.tree import EDITED, EMULATED, Proxy, Tree

PROXIES: tuple[Proxy, ...] = (EDITED, EMULATED)  # an emulation is the last thing that is done to a checkpoint


def stand_ins(tree: Tree) -> dict[str, frozenset[Proxy]]:
    """Return the checkpoints that were edited or emulated, with how, as far as the tree says.

    Those that stand for a retrained cell were one or the other, edited where neither their stages nor the cell say how.
    """
    found: dict[str, frozenset[Proxy]] = {}
    for each in tree.checkpoints:
        kinds = {stage.kind for stage in each.stages}
        if proxies := frozenset(proxy for proxy in PROXIES if proxy in kinds):
            found[each.id] = proxies
    for cell in tree.cells:
        if cell.stands_for is not None:
            found.setdefault(cell.checkpoint, frozenset({cell.proxy or EDITED}))
    return found
