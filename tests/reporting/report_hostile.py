"""A results folder in which every name and every text is an attack."""

from __future__ import annotations

import json
from pathlib import Path

from report_fixture import write_findings, write_tree

from upbringing.formats.answers import Answer, write_answers
from upbringing.formats.findings import Claim, Findings, Robustness
from upbringing.formats.rows import Row, rows_table, write_rows
from upbringing.formats.tree import (
    Cell,
    Checkpoint,
    ConditionInfo,
    Gate,
    ItemInfo,
    MeasureInfo,
    StudyInfo,
    Tree,
)

HOSTILE = (
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg><animate onbegin=alert(1) attributeName=x dur=1s>",
    "javascript:alert(1)",
    "\u202egnp.exe\u202c",
    "\x1b[2J\x1b]0;title\x07",
    "null\x00byte",
    "line\u2028separator\u2029",
    "{{ 7*7 }}{% raw %}",
    "=cmd|'/c calc'!A1",
    "$\\href{javascript:alert(1)}{x}$",
    "]]><!-- --><style>*{display:none}</style>",
    "\"' onmouseover=alert(1) x='",
    '<a href="javascript:alert(1)" autofocus onfocus=alert(1)>&lt;b&gt;</a>',
)


def write_hostile(folder: Path) -> Path:
    """Write a study whose every name and text is an attack."""
    folder.mkdir(parents=True, exist_ok=True)
    arms = [f"arm {text}" for text in HOSTILE]
    cells, checkpoints, rows, answers, levels, claims = [], [], [], [], [], []
    for number, (arm, text) in enumerate(zip(arms, HOSTILE, strict=True)):
        name = f"checkpoint {text}"
        checkpoints.append(Checkpoint(id=name, guard=text))
        cells.append(Cell(arm=arm, position=f"stage {text}", checkpoint=name, factors={text: text}))
        measure = f"measure {text}"
        rows.append(Row(checkpoint=name, measure=measure, item=f"item {text}", judge=f"judge {text}", outcome="refuse",
                        value=1.0, response=name, condition=f"condition {text}"))  # fmt: skip
        levels.append({"cell": f"{arm}@stage {text}", "measure": measure, "condition": f"condition {text}",
                       "split": None, "judge": f"judge {text}", "estimate": 0.5, "low": 0.2, "high": 0.8})  # fmt: skip
        claims.append(Claim(id=text, kind=text, measure=measure, contrast=f"contrast {text}",
                            sentence=f"sentence {text}", weights={f"{arm}@stage {text}": 1.0},
                            estimate=0.5, low=0.1, high=0.9, unit=text,
                            role="primary" if number < 3 else "exploratory", family=text, blocked_by=(text,),
                            per_judge=({text: text},), conditional_on=(text,), checkpoints=(text,),
                            robustness=(Robustness(method=text, reason=text),)))  # fmt: skip
        request = "harmful" if number % 2 else "benign"
        answers.append(Answer(response=name, checkpoint=name, item=f"item {text}", condition=f"condition {text}",
                              sample=0, request=request, prompt=f"prompt {text}", answer=f"answer {text}",
                              thought=f"thought {text}", reasons=((f"judge {text}", f"reason {text}"),)))  # fmt: skip
    tree = Tree(
        study=StudyInfo(name=HOSTILE[0], question=" ".join(HOSTILE)),
        checkpoints=tuple(checkpoints),
        cells=tuple(cells),
        measures=tuple(MeasureInfo(id=f"measure {text}", label=f"label {text}", unit=text) for text in HOSTILE),
        conditions=tuple(ConditionInfo(id=text, decoding=text, attack=text) for text in HOSTILE),
        items=tuple(ItemInfo(id=f"item {text}", split=f"split {text}") for text in HOSTILE),
        gates=tuple(Gate(name=text, passed=False, value=0.1, threshold=0.9, sentence=text) for text in HOSTILE),
        warnings=HOSTILE,
    )
    write_rows(rows_table(rows), folder / "rows.parquet")
    write_tree(tree, folder)
    write_findings(Findings(claims=tuple(claims), tables={"levels": levels}, warnings=HOSTILE), folder)
    (folder / "answers").mkdir(exist_ok=True)
    write_answers(answers, folder / "answers" / "all.parquet")
    (folder / "records").mkdir(exist_ok=True)
    for number, text in enumerate(HOSTILE):
        record = {"id": f"checkpoint {text}", "stage": text, "kind": text, "guard": text, "warnings": [text],
                  "loss_curve": [[1, 2.0], [2, 1.0]], "sources": [{"source": text, "teachers": [text]}]}  # fmt: skip
        (folder / "records" / f"{number}.json").write_text(json.dumps(record), encoding="utf-8")
    return folder
