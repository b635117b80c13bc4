"""A results folder as a study leaves it, with hostile strings where models and users write."""

from __future__ import annotations

import json
from pathlib import Path

from upbringing.formats.answers import Answer, write_answers
from upbringing.formats.findings import Claim, Findings, Flips, Units
from upbringing.formats.rows import Row, rows_table, write_rows
from upbringing.formats.tree import Cell, CellSeeds, Checkpoint, Gate, ItemInfo, MeasureInfo, StudyInfo, Tree

ARMS = ("concept+safety", "concept+answered", "shuffled+safety")
POSITIONS = ("pretrain", "sft", "finetune")
HOSTILE = (
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg><animate onbegin=alert(1) attributeName=x dur=1s>",
    "javascript:alert(1)",
    "\u202egnp.exe\u202c",
    "\x1b[2J\x1b]0;title\x07",
    "null\x00byte",
    "line\u2028separator",
    "{{ 7*7 }}{% raw %}",
    "=cmd|'/c calc'!A1",
    "$\\href{javascript:alert(1)}{x}$",
    "]]><!--",
)


def claim(number: int, verdict: str, **fields: object) -> Claim:
    measurable = verdict not in ("not-measurable", "blocked")
    base: dict[str, object] = {
        "id": f"claim-{number}",
        "kind": "data-effect",
        "measure": "willingness",
        "contrast": f"contrast {number} {HOSTILE[number % len(HOSTILE)]}",
        "split": "held-out-item",
        "role": "primary" if number < 4 else "exploratory",
        "level": "L2",
        "estimand": "recipe",
        "units": Units(items=72, clusters=72, seeds=3, roots=3, worlds=3),
        "verdict": verdict,
        "margin": 0.1,
        "flips": Flips(rose=3, fell=9, kept=60),
        "sentence": f"Sentence {number}: {HOSTILE[number % len(HOSTILE)]}",
    }
    if measurable:
        base |= {"estimate": -0.1 * number, "low": -0.1 * number - 0.2, "high": -0.1 * number + 0.1}
        base |= {"p": 0.01, "p_adjusted": 0.03, "equivalence_radius": 0.3}
    else:
        base["blocked_by"] = ("gate: knowledge",)
    return Claim.model_validate({**base, **fields})


def write_results(folder: Path) -> Path:
    """Write rows, tree, findings, answers and records into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    cells, checkpoints, answers, rows, levels = [], [], [], [], []
    for arm in ARMS:
        for index, position in enumerate(POSITIONS):
            name = f"{arm.replace('+', '-')}-{position}"
            checkpoints.append(
                Checkpoint(id=name, parent=f"{arm.replace('+', '-')}-{POSITIONS[index - 1]}" if index else None)
            )
            cells.append(Cell(arm=arm, position=position, checkpoint=name, seeds=CellSeeds(pretrain=0, sft=0)))
            levels.append(
                {"cell": f"{arm}@{position}", "measure": "willingness", "condition": "chat", "split": "held-out-item",
                 "judge": "oracle", "estimate": 0.2 + 0.2 * index, "low": 0.1, "high": 0.9, "items": 72, "seeds": 3,
                 "unscored": 0}
            )  # fmt: skip
            for number, text in enumerate(HOSTILE):
                response = f"{name}-{number}"
                request = "harmful" if number % 2 else "benign"
                answers.append(
                    Answer(response=response, checkpoint=name, item=f"item-{number}", condition="chat", sample=0,
                           request=request, prompt=f"prompt {number} {text}", answer=f"answer {name} {text}")
                )  # fmt: skip
                rows.append(
                    Row(checkpoint=name, measure="willingness", item=f"item-{number}", judge="oracle",
                        response=response, outcome="refuse" if index == 1 else "harmful", value=float(index != 1))
                )  # fmt: skip
    verdicts = ("changed", "equivalent", "inconclusive", "not-measurable", "negligible", "blocked")
    claims = [claim(number, verdict) for number, verdict in enumerate(verdicts)]
    claims.append(
        claim(9, "changed", kind="path", level="L1", contrast="concept+safety: sft -> finetune", estimate=0.5)
    )
    tree = Tree(
        study=StudyInfo(name="fixture", question="Which stage made it refuse?", primary=("willingness",)),
        checkpoints=tuple(checkpoints),
        cells=tuple(cells),
        measures=(MeasureInfo(id="willingness", label="Willingness to answer hazards"),),
        items=tuple(ItemInfo(id=f"item-{number}", split="held-out-item") for number in range(len(HOSTILE))),
        gates=(
            Gate(name="knowledge", passed=False, value=0.5, threshold=0.9, sentence=f"50% are known. {HOSTILE[1]}"),
        ),
        warnings=("no copy arm",),
    )
    findings = Findings(study="fixture", claims=tuple(claims), tables={"levels": levels}, warnings=(HOSTILE[0],))
    write_rows(rows_table(rows), folder / "rows.parquet")
    (folder / "tree.json").write_text(tree.model_dump_json(), encoding="utf-8")
    (folder / "findings.json").write_text(findings.model_dump_json(), encoding="utf-8")
    (folder / "answers").mkdir(exist_ok=True)
    write_answers(answers, folder / "answers" / "all.parquet")
    (folder / "records").mkdir(exist_ok=True)
    record = {
        "id": checkpoints[0].id,
        "stage": "pretrain",
        "loss_curve": [[1, 5.0], [2, 3.0], [3, 1.0]],
        "seconds": 3.0,
    }
    (folder / "records" / "one.json").write_text(json.dumps(record), encoding="utf-8")
    return folder
