"""What a study fixed before it saw anything: hashed field by field, compared ever after, every change named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from upbringing.base.errors import IntegrityError
from upbringing.base.files import write_json_atomic
from upbringing.base.fingerprint import fingerprint
from upbringing.battery.judges.llm_judge import EndpointJudge, LlmJudge
from upbringing.formats.tree import Registered
from upbringing.lab.building.library import Library
from upbringing.lab.measurement.measuring import ANSWERS, ROWS, item_sets
from upbringing.lab.session import Session
from upbringing.lab.storage.store import Store
from upbringing.study.contrasts import deciding_contrasts
from upbringing.study.seeds import replicates
from upbringing.study.study import Study

REGISTRATION_NAME = "registered.json"
CHARACTERS_OF_A_HASH = 16


def registration(session: Session) -> dict[str, str]:
    """Return the hash of each field that must be fixed before the first row is seen; of all arms, chosen or not.

    Measures enter with their units and directions, contrasts with their scales and families, prompts as the items that
    the first root run is asked, judges without what only concerns how they are reached or paid.
    """
    study = session.study
    derived = deciding_contrasts(study, session.whole)
    tested = {spec.name: [spec.name, spec.kind, spec.level, spec.weights, spec.test, spec.scale] for spec in derived}
    library = Library(session.workshop.book, replicates(study.seeds)[0].root)
    items = [[item.model_dump(mode="json") for item in library.items(name)] for name in item_sets(study)]
    values: dict[str, Any] = {
        "battery": [[each.model_dump(mode="json"), each.info().model_dump(mode="json")] for each in study.battery],
        "contrasts": [[each.model_dump(mode="json") for each in study.contrasts], list(tested.values())],
        "judges": _judges(study),
        "margins": study.margins,
        "primary": study.primary,
        "prompts": items,
        "seed": study.seed,
        "seeds": study.seeds,
    }
    if study.protocol is not None:  # studies without one keep the registration that they have
        values["protocol"] = study.protocol.model_dump(mode="json")
    optional = study.model_dump(mode="json", include={"ratio_margins", "default_margins", "health_criteria"})
    values |= {name: asked for name, asked in optional.items() if asked}
    if study.judge_error_gap is not None:
        values["judge_error_gap"] = study.judge_error_gap
    return {name: fingerprint(value) for name, value in values.items()}


def _judges(study: Study) -> list[Any]:
    return [
        [EndpointJudge(each).id, each.endpoint.base_url.rstrip("/")]
        if isinstance(each, LlmJudge)
        else each.model_dump(mode="json")
        for each in study.judges
    ]


def register(session: Session, checkpoints: set[str]) -> Registered:
    """Return what was registered, written now if it is not yet; a change since then becomes an amendment.

    ``checkpoints``: store keys of the study's. Only a registration that was written while none of them had been
    measured, under any study's name, is one before the first row; until then it may still be written anew.
    """
    path = session.folder / REGISTRATION_NAME
    fields = registration(session)
    known = _read(path)
    if known is None or known["fields"] != fields:
        is_seen = (session.folder / "results" / ROWS).exists() or was_measured(session.store, checkpoints)
        if known is None or (known["before_first_row"] and not is_seen):
            known = {"sha256": fingerprint(fields), "before_first_row": not is_seen, "amendments": []}
        else:
            known["amendments"] = [*known["amendments"], _amendment(known["fields"], fields)]
        known["fields"] = fields
        write_json_atomic(path, known)
    return Registered(
        sha256=known["sha256"],
        before_first_row=known["before_first_row"],
        amendments=tuple(known["amendments"]),
    )


def _amendment(before: dict[str, str], after: dict[str, str]) -> str:
    changed = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
    return f"{', '.join(changed)} (now {fingerprint(after)[:CHARACTERS_OF_A_HASH]})"


def _read(path: Path) -> dict[str, Any] | None:
    """Return the registration in ``path``; none if it is absent, or older than the fields it would have to name."""
    if not path.exists():
        return None
    try:
        content: dict[str, Any] = json.loads(path.read_bytes())
        kinds = {"sha256": str, "amendments": list}
        is_whole = all(isinstance(content[name], kind) for name, kind in kinds.items())
        if is_whole and "fields" not in content:
            return None  # it did not say when it was written: the new one says "after the first row" where that is so
        is_whole = is_whole and isinstance(content["fields"], dict) and isinstance(content["before_first_row"], bool)
    except (ValueError, KeyError, TypeError):
        is_whole = False
    if not is_whole:
        raise IntegrityError(f"{path} is torn: the registration cannot be trusted; start the study in a new store")
    return content


def was_measured(store: Store, checkpoints: set[str]) -> bool:
    """Return whether the store holds rows or answers of any of ``checkpoints``, whoever asked for them."""
    unfinished = {each.name for each in (store.root / "answers").iterdir() if each.name.startswith("measure-")}
    if any(name.endswith(f"-{key}") for name in unfinished for key in checkpoints):
        return True
    files = (store.path("rows", key) / name for key in store.keys("rows") for name in (ROWS, ANSWERS))
    return any(_checkpoints(path) & checkpoints for path in files if path.exists())


def _checkpoints(path: Path) -> set[str]:
    """Return the checkpoints that a table speaks of; a table that cannot be read speaks of nothing that can be used."""
    try:
        return set(pq.read_table(path, columns=["checkpoint"])["checkpoint"].unique().to_pylist())
    except (OSError, pa.ArrowException):
        return set()
