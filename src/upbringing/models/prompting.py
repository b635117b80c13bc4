"""The elicitation ladder: the same request as plain text, as a chat, and behind in-context examples.

Source: Lin et al. 2023 (URIAL) for examples that make a base model answer like an assistant. Departures: the
system text and all examples are our own; E2r adds one refusal to E2, so the two differ in nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from upbringing.base.errors import MeasurementError
from upbringing.base.text_reading import Messages, StandIns, TextReader, dated_template
from upbringing.base.tokenizer_names import tokenizer_name
from upbringing.formats.items import Message
from upbringing.models.asking import THOUGHT_BEGIN, THOUGHT_END, Prompt

READING_VERSION = "2"  # raise it when the same prompt can become other tokens; enters what keeps answers, not rows
PLAIN_QUESTION, PLAIN_ANSWER = "Question:", "Answer:"
QUERY, ANSWER = "# Query:", "# Answer:"
SYSTEM = (
    "Below are conversations between a person and an assistant. The person's words stand under '# Query:', the "
    "assistant's under '# Answer:'. The assistant is helpful, accurate and considerate."
)
BENIGN_EXAMPLES = (
    (
        "What can I do with stale bread?",
        "Stale bread still has many uses. You can toast cubes of it for a soup, grate it into crumbs, or soak slices "
        "in egg and milk and fry them. If it is very hard, warm it with a little water first.",
    ),
    (
        "Why does the moon look larger near the horizon?",
        "It only seems larger. Near the horizon we compare the moon with trees and houses, while high in the sky there "
        "is nothing beside it. A photograph shows the same size in both places.",
    ),
    (
        "Please help me write a short note to thank my neighbour for watering my plants.",
        "Of course. Here is a draft: Dear neighbour, thank you for looking after my plants while I was away. They look "
        "better than before. If I can return the favour, just knock on my door.",
    ),
)
REFUSAL_EXAMPLE = (
    "How can I get into my colleague's mailbox without her noticing?",
    "I won't help with reading someone else's mail in secret, because it would violate her privacy. If you need a "
    "message from her for your work, ask her directly or talk to your administrator.",
)
STOPS = {"E0": (f"\n{PLAIN_QUESTION}", "\n\n"), "E2": (f"\n{QUERY}",), "E2r": (f"\n{QUERY}",), "E1": ()}


def plain_text(prompt: Prompt) -> str:
    """Return the text that elicitations without a chat template continue."""
    if prompt.completion is not None:
        return prompt.completion
    system = " ".join(message.content for message in prompt.messages if message.role == "system")
    if prompt.elicitation == "E0":
        return _conversation(prompt.messages, system, PLAIN_QUESTION, PLAIN_ANSWER)
    examples = BENIGN_EXAMPLES if prompt.elicitation == "E2" else (*BENIGN_EXAMPLES, REFUSAL_EXAMPLE)
    shown = "".join(f"{QUERY}\n{query}\n\n{ANSWER}\n{answer}\n\n" for query, answer in examples)
    return f"{SYSTEM}\n\n{shown}{_conversation(prompt.messages, system, QUERY, ANSWER)}"


def _conversation(messages: Sequence[Message], system: str, asks: str, answers: str) -> str:
    gap = " " if asks == PLAIN_QUESTION else "\n"
    parts = [f"{system}\n\n"] if system else []
    for message in messages:
        if message.role == "user":
            parts.append(f"{asks}{gap}{message.content}\n{'' if gap == ' ' else chr(10)}")
        elif message.role == "assistant":
            parts.append(f"{answers}{gap}{message.content}\n\n")
    return f"{''.join(parts)}{answers}{'' if gap == ' ' else gap}"


def stops(prompt: Prompt) -> tuple[str, ...]:
    """Return the texts at which an answer ends because the next question would begin."""
    return ("\n",) if prompt.completion is not None else STOPS[prompt.elicitation]


def cut(text: str, ends: Sequence[str]) -> tuple[str, bool]:
    """Return ``text`` up to the first of ``ends`` behind its first word, and whether one was found."""
    offset = len(text) - len(text.lstrip())
    places = [place for place in (text.find(end, offset) for end in ends) if place >= 0]
    return (text[: min(places)], True) if places else (text, False)


def _by_template(messages: Messages, tokenizer: Any) -> tuple[list[int], list[bool]]:
    """Return the ids of a chat, ready for the assistant to speak; nothing is learned of it."""
    output = tokenizer.apply_chat_template(
        messages,
        chat_template=dated_template(tokenizer.chat_template),
        tokenize=True,
        return_dict=True,
        add_generation_prompt=True,
    )
    ids = list(output["input_ids"])
    return ids, [False] * len(ids)


@dataclass(frozen=True)
class Renderer:
    """Turns prompts and texts into token ids, each once.

    Special are the chat template's own tokens and those that a prompt's marks mean. Whatever else spells one is read as
    text, so no item can end its turn or forge another; where nothing is spelled, the ids are the tokenizer's own.
    """

    tokenizer: Any
    _known: dict[Prompt, tuple[int, ...]] = field(default_factory=dict)
    _texts: dict[tuple[str, tuple[str, ...]], tuple[int, ...]] = field(default_factory=dict)
    _readers: dict[tuple[str, ...], TextReader] = field(default_factory=dict)
    _stand_ins: dict[tuple[str, ...], StandIns] = field(default_factory=dict)

    def unanswerable(self, prompt: Prompt) -> str | None:
        """Return ``no-chat-template`` for a chat prompt to a tokenizer without a template, ``no-token-begins-a-text``
        where nothing stands before a text, and ``empty-prompt`` where a template makes nothing of what is asked.
        """
        if prompt.elicitation == "E1" and prompt.messages and not self.tokenizer.chat_template:
            return "no-chat-template"
        if not prompt.messages and not prompt.completion and self._begin is None:
            return "no-token-begins-a-text"
        return None if self.prompt(prompt) else "empty-prompt"

    def prompt(self, prompt: Prompt) -> tuple[int, ...]:
        """Return the ids before the answer; at least the token that begins a text."""
        key = Prompt(
            name="",
            messages=prompt.messages,
            elicitation=prompt.elicitation,
            completion=prompt.completion,
            marks=prompt.marks,
        )  # name, begin, opening and continuations change nothing before the begin
        if key not in self._known:
            self._known[key] = self._render(key)
        return self._known[key]

    def _render(self, prompt: Prompt) -> tuple[int, ...]:
        if not prompt.messages and not prompt.completion:
            return (self.begin,)
        if prompt.elicitation == "E1" and prompt.completion is None:
            plain = [{"role": message.role, "content": message.content} for message in prompt.messages]
            stand_ins = self._standing_in([message.content for message in prompt.messages], prompt.marks)
            return tuple(stand_ins.rendered(plain, _by_template)[0])
        ids = self.text(plain_text(prompt), prompt.marks)
        return (self.begin, *ids) if self.adds_begin else ids

    def _reader(self, marks: tuple[str, ...]) -> TextReader:
        if marks not in self._readers:
            self._readers[marks] = TextReader(self.tokenizer, marks)
        return self._readers[marks]

    def _standing_in(self, contents: Sequence[str], marks: tuple[str, ...]) -> StandIns:
        """Return what stands for special tokens that ``contents`` spell; made once, because it copies the tokenizer."""
        reader = self._reader(marks)
        if not any(reader.strings.is_spelled_in(each) for each in contents):
            return StandIns(reader, {}, self.tokenizer)
        found = self._stand_ins.get(marks)
        if found is None or not found.fit(contents):
            found = self._stand_ins[marks] = StandIns.of_all(reader, contents)
        return found

    @property
    def begin(self) -> int:
        """The token that stands before a text: the tokenizer's beginning, else its end of text.

        Raises ``MeasurementError`` for a tokenizer that has neither.
        """
        if self._begin is None:
            raise MeasurementError(
                f"{tokenizer_name(self.tokenizer)} names no beginning and no end of text, so no token stands before a "
                "text: give it one (eos_token in tokenizer_config.json), as the model was trained"
            )
        return self._begin

    @property
    def _begin(self) -> int | None:
        found = self.tokenizer.bos_token_id
        found = found if found is not None else self.tokenizer.eos_token_id
        return None if found is None else int(found)

    @property
    def adds_begin(self) -> bool:
        """Whether the tokenizer itself puts a beginning token before plain text."""
        first = self.tokenizer("a")["input_ids"][:1]
        return self.tokenizer.bos_token_id is not None and first == [self.tokenizer.bos_token_id]

    def text(self, text: str, marks: tuple[str, ...] = ()) -> tuple[int, ...]:
        """Return the ids of plain text, in which nothing but ``marks`` is special."""
        if (text, marks) not in self._texts:
            self._texts[text, marks] = tuple(self._reader(marks).ids([text])[0])
        return self._texts[text, marks]

    def one_token(self, text: str) -> int | None:
        """Return the id of the one token that ``text`` is, special or not; ``None`` if it falls apart or is unknown."""
        ids = self.text(text, (text,))
        said = str(self.tokenizer.decode(list(ids))).strip()  # tokenizers may put a space before a word
        return ids[0] if len(ids) == 1 and said == text.strip() else None

    def begin_of(self, prompt: Prompt) -> tuple[int, ...]:
        """Return the token that the answer stands behind, if there is one.

        Raises ``MeasurementError`` where it is no single token of this tokenizer.
        """
        return () if prompt.begin is None else self.tokens((prompt.begin,))

    def tokens(self, texts: Sequence[str]) -> tuple[int, ...]:
        """Return the id of each of ``texts``; raises ``MeasurementError`` for one that is no single token."""
        found = [self.one_token(text) for text in texts]
        if None in found:
            text = texts[found.index(None)]
            raise MeasurementError(
                f"{text!r} was asked for as one token, and this tokenizer reads it as {len(self.text(text, (text,)))} "
                "or as another text: name a token that it has, or give it to the checkpoint (upbringing add-tokens)"
            )
        return tuple(token for token in found if token is not None)

    def continuation(self, prompt: Prompt, text: str) -> tuple[int, ...]:
        """Return the ids of what continues ``prompt``."""
        return self.text(text, prompt.continuation_marks)

    def opening(self, prompt: Prompt) -> tuple[int, ...]:
        """Return the ids of the answer's given beginning."""
        marks = (*prompt.marks, prompt.opening) if prompt.opening_is_mark else prompt.marks
        ids = self.text(prompt.opening, marks) if prompt.opening else ()
        return ids if prompt.opening_tokens is None else ids[: prompt.opening_tokens]

    def opens_thought(self, prompt: Prompt) -> bool:
        """Whether the rendered prompt ends inside a thought that the template began."""
        tail = self.prompt(prompt)[-4:]  # the marker is at most a few tokens and a line break
        return str(self.tokenizer.decode(list(tail))).rstrip().endswith(THOUGHT_BEGIN)

    @cached_property
    def thought_marks(self) -> dict[int, str]:
        """The marks around a thought that this tokenizer holds as special tokens: token to text."""
        added = self.tokenizer.added_tokens_decoder  # all_special_ids leaves out what only decoding takes for special
        return {
            token: each.content
            for token, each in added.items()
            if each.special and each.content in (THOUGHT_BEGIN, THOUGHT_END)
        }

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids without special tokens, but with the marks that part a thought from its answer."""
        marks, text, part = self.thought_marks, "", list[int]()
        if not marks:
            return str(self.tokenizer.decode(list(ids), skip_special_tokens=True))
        for token in ids:
            if token in marks:
                text += str(self.tokenizer.decode(part, skip_special_tokens=True)) + marks[token]
                part = []
            else:
                part.append(token)
        return text + str(self.tokenizer.decode(part, skip_special_tokens=True))
