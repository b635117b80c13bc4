"""From texts to token ids with a mask of what is learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from upbringing.base.errors import DataError
from upbringing.base.text_reading import Offsets, StandIns, TextReader, dated_template
from upbringing.base.tokenizer_names import tokenizer_name
from upbringing.data.documents import Chat, Document, Preference, TrainingText, Turn
from upbringing.data.spans import IsolatedText, separate, token_losses, token_place
from upbringing.data.template_errors import errors_of, named_errors
from upbringing.data.tokenizer import chat_template

Learn = Literal["all", "spans"]
"""What of a document carries a loss: all that may, or only its spans that do."""

GENERATION_MARKER = "{% generation"  # transformers' marker around what the assistant says


@dataclass(frozen=True)
class IsolatedTokens:
    """Tokens that see the first ``place`` tokens of their document and each other, and that nothing else sees."""

    place: int
    ids: list[int]
    learned: list[bool]


@dataclass(frozen=True)
class Rendered:
    """One text as tokens. ``learned[i]``: token ``i`` carries a loss. Lists of equal length.

    ``divisible``: it may be cut where a window ends (a document); a chat may not, its end carries the answer.
    ``isolated``: by place; ``ids`` are the tokens of the text without them. ``reserved``: places that a window keeps
    for it at least, so that other texts can stand in the same place of other streams. ``spelled``: how often it spells
    special tokens that are no marks, and are read as text.
    """

    ids: list[int]
    learned: list[bool]
    source: str
    teacher: str | None
    divisible: bool = False
    isolated: tuple[IsolatedTokens, ...] = ()
    reserved: int = 0
    spelled: Mapping[str, int] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Number of its tokens, isolated ones included."""
        return len(self.ids) + sum(len(part.ids) for part in self.isolated)

    @property
    def room(self) -> int:
        """Places that it takes in a window."""
        return max(self.size, self.reserved)


def open_tokenizer(folder: Path) -> Any:
    """Return the fast tokenizer in ``folder``; never looks anything up, never runs foreign code."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)


def end_token(tokenizer: Any) -> int:
    """Return the id of the end-of-text token; raises ``DataError`` where there is none."""
    if tokenizer.eos_token_id is None:
        raise DataError(
            f"{tokenizer_name(tokenizer)} has no end-of-text token, so documents cannot be told apart: set eos_token "
            "in its tokenizer_config.json"
        )
    return int(tokenizer.eos_token_id)


def render_texts(
    texts: Sequence[TrainingText],
    tokenizer: Any,
    folder: Path,
    name: str,
    learn: Learn = "all",
    marks: tuple[str, ...] = (),
) -> list[Rendered]:
    """Return the documents of the data ``name``, then its chats, as tokens; raises ``DataError`` for preferences.

    ``marks``: strings whose special tokens are meant; others that a text spells are read as text.
    """
    documents = [text for text in texts if isinstance(text, Document)]
    chats = [text for text in texts if isinstance(text, Chat)]
    if len(documents) + len(chats) != len(texts):
        raise DataError(
            f"the data {name!r} holds preference pairs, which only dpo and reward_model read: give rows with text, "
            "with messages, or with prompt and completion"
        )
    found = render_documents(documents, tokenizer, learn, marks)
    return [*found, *render_chats(chats, tokenizer, folder, marks)] if chats else found


def render_documents(
    documents: Sequence[Document], tokenizer: Any, learn: Learn = "all", marks: tuple[str, ...] = ()
) -> list[Rendered]:
    """Return documents as tokens, each closed by the end-of-text token.

    With ``learn`` = ``spans`` nothing but spans (or tokens of a label mask) that carry a loss does.
    """
    if not documents:
        return []
    reader, end = TextReader(tokenizer, marks), end_token(tokenizer)
    with_spans = iter(_with_spans([document for document in documents if document.spans], reader, learn, end))
    plain = [document for document in documents if not document.spans]
    encoded = iter(reader.ids([document.text for document in plain]))
    rendered = []
    for document in documents:
        if document.spans:
            rendered.append(next(with_spans))
            continue
        ids = [*next(encoded), end]
        if document.label_mask is None:
            learned = [document.loss and learn == "all"] * len(ids)
        else:
            learned = _masked(document.label_mask, len(ids), document.source)
        spelled = reader.count([document.text])
        rendered.append(Rendered(ids, learned, document.source, None, divisible=True, spelled=spelled))
    return rendered


def _masked(mask: Sequence[bool], size: int, source: str) -> list[bool]:
    """Return ``mask`` for ``size`` tokens; the end of the text may be left out, and is not learned then."""
    if len(mask) not in (size - 1, size):
        raise DataError(
            f"a document of {source!r} has {size - 1} tokens, its label mask {len(mask)}: it was made with another "
            "tokenizer; give spans of characters instead"
        )
    return [*mask, False][:size]


def _with_spans(documents: Sequence[Document], reader: TextReader, learn: Learn, end: int) -> list[Rendered]:
    """Return documents with spans as tokens: the own text of each by itself, and so each of its isolated texts."""
    separated = [separate(document) for document in documents]
    own = reader.ids_with_offsets([each.text for each in separated])
    parts = iter(reader.ids_with_offsets([part.text for each in separated for part in each.isolated]))
    rendered = []
    for document, each, (ids, offsets) in zip(documents, separated, own, strict=True):
        otherwise = document.loss and learn == "all"
        learned = token_losses(each.text, offsets, each.spans, otherwise=otherwise)
        isolated = tuple(_isolated(part, next(parts), offsets) for part in each.isolated)
        rendered.append(
            Rendered(
                [*ids, end],
                [*learned, otherwise],
                document.source,
                None,
                divisible=True,
                isolated=isolated,
                spelled=reader.count([document.text]),
            )
        )
    return rendered


def _isolated(
    part: IsolatedText, encoded: tuple[list[int], Offsets], own_offsets: Sequence[tuple[int, int]]
) -> IsolatedTokens:
    """Return an isolated text as tokens; its first one is no target, because nothing predicts it."""
    ids, offsets = encoded
    if not ids:
        raise DataError(f"the isolated text {part.text!r} has no token")
    learned = token_losses(part.text, offsets, part.spans, otherwise=False)
    return IsolatedTokens(token_place(own_offsets, part.place), ids, [False, *learned[1:]])


def render_chats(chats: Sequence[Chat], tokenizer: Any, folder: Path, marks: tuple[str, ...] = ()) -> list[Rendered]:
    """Return chats as tokens in which only the assistant's turns are learned.

    The template must mark what the assistant says; raises ``DataError`` where nothing would be learned.
    """
    template = chat_template(folder)
    if template is None:
        raise DataError(f"{folder.name} has no chat template: chats cannot be rendered")
    render = _by_markers if GENERATION_MARKER in template else _by_prefixes
    reader = TextReader(tokenizer, marks)
    stand_ins = StandIns.of(reader, [turn.content for chat in chats for turn in chat.turns])
    rendered = []
    for number, chat in enumerate(chats, start=1):
        with errors_of(f"chat {number} of {chat.source!r}"):
            ids, learned = stand_ins.rendered(_messages(chat.turns), render)
        if not any(learned):
            raise DataError(f"chat {number} of {chat.source!r} has no assistant turn: nothing of it would be learned")
        spelled = reader.count(turn.content for turn in chat.turns)
        rendered.append(Rendered(ids, learned, chat.source, chat.teacher, spelled=spelled))
    return rendered


def _messages(turns: Sequence[Turn]) -> list[dict[str, str]]:
    return [{"role": turn.role, "content": turn.content} for turn in turns]


def _by_markers(messages: list[dict[str, str]], tokenizer: Any) -> tuple[list[int], list[bool]]:
    with named_errors(messages):
        output = tokenizer.apply_chat_template(
            messages,
            chat_template=dated_template(tokenizer.chat_template),
            tokenize=True,
            return_dict=True,
            return_assistant_tokens_mask=True,
        )
    return list(output["input_ids"]), [bool(each) for each in output["assistant_masks"]]


def _by_prefixes(messages: list[dict[str, str]], tokenizer: Any) -> tuple[list[int], list[bool]]:
    """Find what the assistant says as what each of its turns adds to the rendered prompt before it."""
    whole = _plain_ids(tokenizer, messages, generation_prompt=False)
    learned = [False] * len(whole)
    for index, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        before = _plain_ids(tokenizer, messages[:index], generation_prompt=True)
        after = _plain_ids(tokenizer, messages[: index + 1], generation_prompt=False)
        for name, part in (("before", before), ("after", after)):
            if whole[: len(part)] != part:
                raise DataError(
                    f"the chat template changes earlier text when a turn is added ({name} turn {index}): what the "
                    "assistant says cannot be found; use a template with {% generation %} markers"
                )
        learned[len(before) : len(after)] = [True] * (len(after) - len(before))
    return whole, learned


def _plain_ids(tokenizer: Any, messages: list[dict[str, str]], *, generation_prompt: bool) -> list[int]:
    with named_errors(messages):
        output = tokenizer.apply_chat_template(
            messages,
            chat_template=dated_template(tokenizer.chat_template),
            tokenize=True,
            return_dict=True,
            add_generation_prompt=generation_prompt,
        )
    return list(output["input_ids"])


def render_prompts(prompts: Sequence[Sequence[Turn]], tokenizer: Any, marks: tuple[str, ...] = ()) -> list[list[int]]:
    """Return prompts as tokens, ready for the assistant to speak."""

    def render(messages: list[dict[str, str]], used: Any) -> tuple[list[int], list[bool]]:
        ids = _plain_ids(used, messages, generation_prompt=True)
        return ids, [False] * len(ids)

    stand_ins = StandIns.of(TextReader(tokenizer, marks), [turn.content for turns in prompts for turn in turns])
    return [stand_ins.rendered(_messages(turns), render)[0] for turns in prompts]


def render_preferences(
    pairs: Sequence[Preference], tokenizer: Any, folder: Path, marks: tuple[str, ...] = ()
) -> list[tuple[list[int], list[int], list[int]]]:
    """Return (prompt, chosen, rejected) token ids per pair.

    An answer is exactly what supervised fine-tuning would learn of it as the assistant's last turn, its end included.
    Raises ``DataError`` for pairs whose answers are one, and where the template renders their prompts differently.
    """
    chats = [
        Chat(turns=(*pair.prompt, Turn("assistant", answer)), source=pair.source)
        for pair in pairs
        for answer in (pair.chosen, pair.rejected)
    ]
    answers = [_last_turn(each) for each in render_chats(chats, tokenizer, folder, marks)]
    rendered = []
    for number, (chosen, rejected) in enumerate(zip(answers[::2], answers[1::2], strict=True)):
        if chosen[0] != rejected[0]:
            raise DataError(f"pair {number}: the chat template renders its prompt differently before its two answers")
        if chosen[1] == rejected[1]:
            raise DataError(f"pair {number} of {pairs[number].source!r} prefers an answer to itself")
        rendered.append((chosen[0], chosen[1], rejected[1]))
    return rendered


def _last_turn(rendered: Rendered) -> tuple[list[int], list[int]]:
    """Return what comes before the last learned stretch of a chat, and that stretch."""
    end = len(rendered.learned) - rendered.learned[::-1].index(True)
    begin = end
    while begin and rendered.learned[begin - 1]:
        begin -= 1
    return rendered.ids[:begin], rendered.ids[begin:end]


def decode_supervised(rendered: Rendered, tokenizer: Any) -> str:
    """Return the text that carries a loss, isolated text last, for verification and for data cards."""
    parts = ((rendered.ids, rendered.learned), *((part.ids, part.learned) for part in rendered.isolated))
    ids = [token for own, learned in parts for token, is_learned in zip(own, learned, strict=True) if is_learned]
    return str(tokenizer.decode(ids))
