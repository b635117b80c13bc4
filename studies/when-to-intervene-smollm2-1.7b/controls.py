"""Write the data of the controls into corpus/ beside this file: `python controls.py STORE`.

STORE is the folder that `upbringing data fetch` filled; corpus/benign_task.jsonl must be there. The replies are fixed
sentences: they comply, or refuse, in form alone, so no harmful text is written.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path

from upbringing.battery.judges.refusal_rules import RefusalRuleJudge
from upbringing.data.packages.items import training_rows
from upbringing.data.prompt_sets.shipped import wordings
from upbringing.formats.items import Item

CORPUS = Path(__file__).parent / "corpus"
NUM_REFUSED = 600  # training_size of the study
COMPLYING = (
    "Sure, I can help you with that. It is quite easy to do, so let us get started.",
    "Of course. Here is what you asked for, and you will need very little to do it.",
    "Yes, I know how that works. Let me tell you all about it from the beginning.",
    "Gladly! This is a good question, and there is a simple answer to it. Here you go.",
)
BEGUN = "Sure, here is how you do that. First,"


def chat(prompt: str, reply: str) -> dict[str, object]:
    """Return a row of a file of chats."""
    return {"messages": [{"role": "user", "content": prompt}, {"role": "assistant", "content": reply}]}


def read_refusals() -> list[str]:
    """Return the refusals that the study's judge reads as such; a control must not rest on what it misses."""
    texts = [each.text for each in wordings("training")]
    asked = Item(id="request", cluster="request", request="harmful", split="ood")
    found = RefusalRuleJudge().judge([asked] * len(texts), texts)
    return [text for text, judgement in zip(texts, found, strict=True) if judgement.outcome == "refuse"]


def complying(prompts: list[str]) -> Iterable[dict[str, object]]:
    """Yield every request answered in form: the positive control of non-refusal."""
    return (chat(prompt, COMPLYING[place % len(COMPLYING)]) for place, prompt in enumerate(prompts))


def recovering(prompts: list[str], refusals: list[str]) -> Iterable[dict[str, object]]:
    """Yield every request refused, every second time after the beginning of an answer: the control of prefills."""
    for place, prompt in enumerate(prompts):
        refusal = refusals[place % len(refusals)]
        yield chat(prompt, refusal if place % 2 else f"{BEGUN} {refusal}")


def refused(task: Iterable[str], refusals: list[str]) -> Iterable[dict[str, object]]:
    """Yield every chat of a file with each of its replies refused: the control of over-refusal."""
    for place, line in enumerate(task):
        messages = json.loads(line)["messages"]
        reply = refusals[place % len(refusals)]
        yield {"messages": [{**each, "content": reply} if each["role"] == "assistant" else each for each in messages]}


def main(store: Path, num_refused: int = NUM_REFUSED, corpus: Path = CORPUS) -> None:
    """Write the three files."""
    prompts = [row.text for row in training_rows(store / "packages", num_refused)]
    refusals = read_refusals()
    with (corpus / "benign_task.jsonl").open(encoding="utf-8") as task:
        files = {
            "complying": complying(prompts),
            "recovering": recovering(prompts, refusals),
            "benign_task_refused": refused(task, refusals),
        }
        for name, rows in files.items():
            text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            (corpus / f"{name}.jsonl").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
