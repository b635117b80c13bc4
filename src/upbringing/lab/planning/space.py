"""Whether disk and memory hold what a study is about to write and to train, asked before anything is trained."""

from __future__ import annotations

import shutil
from collections.abc import Collection

from upbringing.base.errors import IntegrityError
from upbringing.base.memory import machine_memory
from upbringing.lab.building.workshop import Prepared
from upbringing.lab.planning.calibration import Calibration
from upbringing.lab.planning.cost import Costs
from upbringing.lab.planning.reading import DataFacts
from upbringing.lab.session import Session


def require_space(session: Session, keys: Collection[str], prepared: Prepared) -> None:
    """Raise ``IntegrityError`` if the checkpoints ``keys`` and the states kept on the way do not fit on the disk.

    The data lies there already; rows and reports are small beside weights.
    """
    wanted = {prepared.keys[key]: node for key, node in session.tree.nodes.items() if prepared.keys[key] in keys}
    costs = Costs(session, DataFacts(), Calibration())
    kept = sum(costs.of(node).disk_bytes or 0 for node in wanted.values())
    working = costs.working_bytes(list(wanted.values())) or 0  # whatever is built has its start here by now
    free = shutil.disk_usage(session.store.root).free
    if kept + working > free:
        raise IntegrityError(
            f"nothing was trained: {kept:,} bytes are needed for {len(wanted)} checkpoints and {working:,} while they "
            f"train, {free:,} bytes are free in {session.store.root}. Free space, choose fewer arms with --only, or "
            "use another --store"
        )


def memory_warnings(session: Session, held: int | None) -> list[str]:
    """Return the warning that processes side by side, each holding ``held`` bytes, need more memory than there is.

    On accelerators nothing is said, as how much memory they have is not known without torch; nor is it where ``held``
    is not known.
    """
    shop, found = session.workshop, machine_memory()
    if shop.profile.device != "cpu" or found is None or held is None or held * shop.slots <= found:
        return []
    return [
        f"{shop.slots} processes side by side hold at least {held * shop.slots / 1e9:.1f} GB while they train, and "
        f"this machine has {found / 1e9:.1f} GB: train adapters (weights: {{kind: lora}}) or a smaller model"
    ]
