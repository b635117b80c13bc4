"""Answers on disk, so that an interrupted measurement goes on where it stopped.

A line of a JSONL file holds the replies of one canonical batch under a key of everything that decides them: the
weights' hash, tokenizer, template, decoding, seed, precision, versions, and the batch with its prompts in order.
Another model, another template or another batch can never be served. Each line carries its own sha256: a torn or
altered line is a miss and a warning. Failed, malformed and truncated requests are never stored.
"""

from __future__ import annotations

import json
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from pydantic import TypeAdapter, ValidationError

from upbringing.base.errors import UpbringingWarning
from upbringing.base.files import append_line
from upbringing.base.fingerprint import canonical_json, fingerprint, text_sha256
from upbringing.models.asking import Prompt, Reply
from upbringing.models.decoding import Decoding

CACHE_VERSION = 3  # raise it when the same key may mean another answer
_REPLIES = TypeAdapter(list[list[Reply]])


class Identified(Protocol):
    """Whatever says what decides its answers besides the prompt."""

    @property
    def identity(self) -> Mapping[str, str]:
        """Names and hashes."""
        ...


def is_good(reply: Reply) -> bool:
    """An answer, or a refusal of the provider, which is an answer too; never an error or half a reply.

    An empty answer of local weights that stopped of their own accord is what they said, and greedy decoding would
    say it again; an endpoint's empty answer arrives as ``refused`` with a reason and is asked again.
    """
    return reply.status == "ok" or (reply.status == "refused" and reply.reason_code != "empty")


def plain_prompt(prompt: Prompt) -> dict[str, Any]:
    """Return what a prompt asks as plain JSON values; marks only where there are any, as keys without were before.

    So of an opening that may be one, and of a token that the answer begins behind.
    """
    plain: dict[str, Any] = {
        "name": prompt.name,
        "messages": [message.model_dump(mode="json") for message in prompt.messages],
        "elicitation": prompt.elicitation,
        "completion": prompt.completion,
        "opening": prompt.opening,
        "opening_tokens": prompt.opening_tokens,
    }
    marks = {"marks": list(prompt.marks)} if prompt.marks else {}
    opened = {"opening_is_mark": True} if prompt.opening_is_mark else {}
    return {**plain, **marks, **opened, **({} if prompt.begin is None else {"begin": prompt.begin})}


def batch_key(model: Identified, prompts: Sequence[Prompt], decoding: Decoding, seed: int) -> str:
    """Return the sha256 of everything that decides the replies of this batch."""
    return fingerprint(
        {
            "version": CACHE_VERSION,
            "model": dict(model.identity),
            "decoding": decoding.model_dump(mode="json"),
            "seed": seed if decoding.kind != "greedy" else 0,
            "batch": [plain_prompt(prompt) for prompt in prompts],
        }
    )


@dataclass(frozen=True)
class AnswerCache:
    """Replies of finished batches in ``path``; ``path`` ``None`` keeps nothing. ``keeps``: which replies are final."""

    path: Path | None
    keeps: Callable[[Reply], bool] = is_good
    _lines: dict[str, list[list[Reply]]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @classmethod
    def open(cls, folder: Path | None, model: Identified, keeps: Callable[[Reply], bool] = is_good) -> AnswerCache:
        """Return the cache of ``model`` in ``folder``, with every whole and unaltered line of it."""
        if folder is None:
            return cls(None, keeps)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{fingerprint(dict(model.identity))}.jsonl"
        cache = cls(path, keeps)
        for number, line in enumerate(_raw_lines(path), start=1):
            entry = _checked(line)
            if entry is None:
                warnings.warn(
                    f"line {number} of the answers cache {path.name} is torn or altered: its batch is asked again",
                    UpbringingWarning,
                    stacklevel=2,
                )
            else:
                cache._lines[entry[0]] = entry[1]
        return cache

    def get(self, key: str) -> list[list[Reply]] | None:
        """Return the replies of a batch, or ``None``."""
        return self._lines.get(key)

    def put(self, key: str, replies: list[list[Reply]]) -> None:
        """Keep the replies of a batch durably, unless one of them is not a good answer."""
        if self.path is None or not all(self.keeps(reply) for samples in replies for reply in samples):
            return
        content: dict[str, Any] = {"key": key, "replies": [[asdict(reply) for reply in each] for each in replies]}
        with self._lock:
            append_line(self.path, json.dumps({**content, "sha256": text_sha256(canonical_json(content))}))
            self._lines[key] = replies


def _raw_lines(path: Path) -> list[bytes]:
    if not path.exists():
        return []
    return [line for line in path.read_bytes().split(b"\n") if line]


def _checked(line: bytes) -> tuple[str, list[list[Reply]]] | None:
    try:
        entry = json.loads(line.decode("utf-8"))
        digest = entry.pop("sha256")
        if text_sha256(canonical_json(entry)) != digest:
            return None
        return str(entry["key"]), _REPLIES.validate_python(entry["replies"])
    except (ValueError, KeyError, TypeError, AttributeError, ValidationError):
        return None
