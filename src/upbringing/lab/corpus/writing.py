"""Last pass over a piece: score, route, transform and write what the first pass left."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from upbringing.base.files import write_json_atomic
from upbringing.base.fingerprint import fingerprint
from upbringing.data.documents import Document
from upbringing.data.interventions.scoring.noisy import Noisy
from upbringing.data.interventions.tools import Transformed
from upbringing.lab.corpus.accounts import Accounts
from upbringing.lab.corpus.chain import transformed
from upbringing.lab.corpus.doses import Doses, add_doses, dose_labels
from upbringing.lab.corpus.folders import Folders
from upbringing.lab.corpus.labelling import given_labels, num_stages
from upbringing.lab.corpus.reading import BadRow
from upbringing.lab.corpus.recipe import CorpusRecipe
from upbringing.lab.corpus.routed import LeftOut, Named, Piece, Routed, mapped, open_piece, routed_batches
from upbringing.lab.corpus.seam import CorpusTools
from upbringing.lab.corpus.shards import Shard, is_unchanged
from upbringing.lab.corpus.units import Unit

UNSCORED = "unscored"


@dataclass
class _Work:
    """One piece while it is worked on, with what is written of it and counted."""

    piece: Piece
    shard: Shard
    labels: list[tuple[str, ...]]
    numbers: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    scores: Counter[str] = field(default_factory=Counter)
    noise: Counter[str] = field(default_factory=Counter)
    doses: Doses = field(default_factory=dict)

    def leave(self, left: LeftOut) -> None:
        """Reject a row that is no document, or a duplicate."""
        self.numbers["read"] += 1
        self.rejected[left.code] += 1
        facts = {} if isinstance(left.row, BadRow) else {"harm": None}
        self.shard.reject(left.row, left.name, left.code, left.reason, **facts)


def write_unit(unit: Unit, recipe: CorpusRecipe, tools: CorpusTools, folders: Folders) -> Accounts:
    """Write what becomes of ``unit`` and return its account, unless that is done. The account is written last."""
    path = folders.accounts / f"{unit.number:06d}.json"
    if (known := read_account(path, folders.result)) is not None:
        return known
    piece = open_piece(unit, recipe, tools, folders, given_labels(unit, recipe, folders, num_stages(recipe)))
    work = _Work(piece, Shard(unit, recipe), dose_labels(recipe.route))
    for batch in routed_batches(piece, work.leave):
        _settle(work, batch)
    account = Accounts(
        **{name: work.numbers[name] for name in ("read", "kept", "rewritten", "made", "side_rejects")},
        bytes_read=unit.num_bytes,
        rejected=dict(sorted(work.rejected.items())),
        scores=dict(sorted(work.scores.items())),
        noise=dict(work.noise),
        doses=dict(sorted(work.doses.items())),
        files=work.shard.write(folders.result),
    )
    plain = asdict(account)
    write_json_atomic(path, {"account": plain, "sha256": fingerprint(plain)})
    return account


def read_account(path: Path, result: Path) -> Accounts | None:
    """Return a finished piece's account; ``None`` where it is torn, or a file it names is not as long as it says."""
    try:
        content = json.loads(path.read_bytes())
        account = content["account"]
        whole = fingerprint(account) == content["sha256"] and all(
            (result / name).stat().st_size == file["bytes"] for name, file in account["files"].items()
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Accounts(**account) if whole else None


def _settle(work: _Work, batch: Sequence[Routed]) -> None:
    """Transform and write a batch, in order."""
    made = mapped(work.piece, lambda each: transformed(work.piece, each), batch)
    if isinstance(scorer := work.piece.tools.scorer, Noisy) and work.piece.recipe.columns.score is None:
        work.noise.update(scorer.counts([each.score for each in batch]))
    for routed, result in zip(batch, made, strict=True):
        named, score = routed.named, routed.score
        work.numbers["read"] += 1
        work.scores[UNSCORED if score.score is None else str(score.score)] += 1
        if result is not None:
            assert routed.rule is not None
            add_doses(work.doses, work.labels[routed.rule], result.doses)
            _write_made(work, named, result)
        elif routed.do == "keep":
            work.numbers["kept"] += 1
            work.shard.keep(named.row, named.name, score.score)
        elif score.score is None:
            _reject(work, named, UNSCORED, score.reason, None)
        else:
            _reject(work, named, "route", f"score {score.score}: {score.reason}", score.score)


def _reject(work: _Work, named: Named, code: str, reason: str, score: int | None) -> None:
    work.rejected[code] += 1
    work.shard.reject(named.row, named.name, code, reason, harm=score)


def _write_made(work: _Work, named: Named, made: Transformed) -> None:
    if is_unchanged(made.texts, named.row):
        work.numbers["kept"] += 1
        work.shard.keep(named.row, named.name, made.texts[0].harm if isinstance(made.texts[0], Document) else None)
    elif made.texts:
        work.numbers["rewritten"] += 1
        work.numbers["made"] += len(made.texts)
        for place, text in enumerate(made.texts):
            work.shard.make(text, named.row, named.name, place)
    else:
        work.rejected["transform"] += 1
        work.numbers["side_rejects"] += max(len(made.rejects), 1) - 1
        if not made.rejects:
            work.shard.reject(
                named.row, named.name, "transform", "the transforms made nothing of it and gave no reason"
            )
    if made.texts:
        work.numbers["side_rejects"] += len(made.rejects)
    for text, reason in made.rejects:
        work.shard.reject_text(named.row, named.name, text, reason)
