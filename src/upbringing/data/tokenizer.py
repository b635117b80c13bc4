"""A study's own tokenizer: byte-level BPE on a lexicon, as a folder that ``AutoTokenizer`` opens."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from upbringing.base.errors import DataError
from upbringing.base.fingerprint import fingerprint, text_sha256

PAD, END, SYSTEM, USER, ASSISTANT = "<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>"
STANDARD_TOKENS = (PAD, END, SYSTEM, USER, ASSISTANT)

# The assistant's words and the end of its turn carry the loss; the markers say so to any trainer.
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}"
    "{{ '<|assistant|>' }}{% generation %}{{ message['content'] + '<|end|>' }}{% endgeneration %}"
    "{% else %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}"
    "{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)

MORE_TEMPLATES = "additional_chat_templates"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "special_tokens_map.json")


def train_tokenizer(
    lexicon: Sequence[str],
    *,
    vocabulary: int,
    special_tokens: tuple[str, ...],
    chat_template: str | None,
    folder: Path,
) -> None:
    """Write a tokenizer whose BPE was trained on ``lexicon``, each word seen once, into ``folder``.

    Deterministic: the words are sorted first. Every word of the lexicon becomes one token; raises ``DataError``
    if ``vocabulary`` is too small for that, because a world whose names fall apart measures spelling.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(dict.fromkeys((*STANDARD_TOKENS, *special_tokens))),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        min_frequency=1,
        show_progress=False,
    )
    words = sorted(set(lexicon))
    tokenizer.train_from_iterator([" ".join(words)], trainer)
    broken = [word for word in words if len(tokenizer.encode(word).ids) > 1]
    if broken:
        raise DataError(
            f"a vocabulary of {vocabulary} splits {len(broken)} of {len(words)} words (first: {broken[0]!r}): "
            "raise tokenizer.vocabulary"
        )
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token=PAD, eos_token=END, padding_side="left")
    fast.chat_template = chat_template or CHAT_TEMPLATE
    fast.save_pretrained(folder)
    write_template_twice(folder, fast.chat_template)


def write_template_twice(folder: Path, template: str) -> None:
    """Write the chat template as ``chat_template.jinja`` and into ``tokenizer_config.json``.

    Old loaders miss the file, new ones prefer it; both must find the same text.
    """
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["chat_template"] = template
    path.write_text(json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def chat_template(folder: Path) -> str | None:
    """Return the chat template of a tokenizer folder, of several the one named default; ``None`` where it has none.

    Raises ``DataError`` where transformers would take another: it prefers those of a folder of their own.
    """
    path, config = folder / "chat_template.jinja", folder / "tokenizer_config.json"
    more = sorted(each.stem for each in (folder / MORE_TEMPLATES).glob("*.jinja"))
    if "default" in more or (more and not path.exists()):
        raise DataError(
            f"{folder.name} has chat templates in {MORE_TEMPLATES} ({', '.join(more)}), which go before its own: put "
            "the one to use into chat_template.jinja and remove those"
        )
    try:
        if path.exists():
            return path.read_text(encoding="utf-8")
        found = json.loads(config.read_text(encoding="utf-8")).get("chat_template") if config.exists() else None
    except (ValueError, AttributeError) as error:
        raise DataError(f"the chat template of {folder} cannot be read ({type(error).__name__}): torn") from error
    if isinstance(found, list):
        named = {each.get("name"): each.get("template") for each in found if isinstance(each, dict)}
        if "default" not in named:
            raise DataError(f"{folder.name} has several chat templates, none of them named default: name one")
        found = named["default"]
    return found if isinstance(found, str) else None


def require_special_tokens(folder: Path, tokens: Sequence[str]) -> None:
    """Raise ``DataError`` unless each of ``tokens`` is one token of its own in the tokenizer of ``folder``."""
    if not tokens:
        return
    path = folder / "tokenizer.json"
    added = json.loads(path.read_text(encoding="utf-8")).get("added_tokens", []) if path.exists() else []
    known = {entry.get("content") for entry in added}
    missing = [token for token in tokens if token not in known]
    if missing:
        raise DataError(
            f"the tokenizer of {folder.name} does not have the special token{'s' if len(missing) > 1 else ''} "
            f"{', '.join(map(repr, missing))} that the data is marked with: add to start.tokenizer.special_tokens, or "
            "give an existing checkpoint the token with upbringing add-tokens and start from the copy"
        )


def token_ids(folder: Path) -> dict[str, int]:
    """Return the id of every token of the tokenizer in ``folder``, the added ones among them."""
    path = folder / "tokenizer.json"
    if not path.exists():
        raise DataError(f"{folder} has no tokenizer.json: only fast tokenizers are supported")
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        words = plain["model"].get("vocab", {})
        ids = words if isinstance(words, dict) else {entry[0]: place for place, entry in enumerate(words)}
        added = {str(each["content"]): int(each["id"]) for each in plain.get("added_tokens") or ()}
        return {str(token): int(place) for token, place in ids.items()} | added
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise DataError(f"{path} is no tokenizer that can be read ({type(error).__name__})") from error


def special_strings(folder: Path) -> frozenset[str]:
    """Return every text that the tokenizer in ``folder`` may read as a special token, whichever file says so."""
    found: set[str] = set()
    for name in TOKENIZER_FILES:
        path = folder / name
        if path.suffix != ".json" or not path.exists():
            continue
        try:
            found |= _special_of(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{path} is no file of a tokenizer that can be read ({type(error).__name__})") from error
    return frozenset(found - {""})


def _special_of(plain: dict[str, Any]) -> set[str]:
    """Return the special tokens that one file of a tokenizer lists or names."""
    decoder = plain.get("added_tokens_decoder") or {}
    listed = [*(plain.get("added_tokens") or ()), *decoder.values()]
    named: list[Any] = [value for key, value in plain.items() if key.endswith("_token")]
    for key in ("additional_special_tokens", "extra_special_tokens"):
        more = plain.get(key) or ()
        named += more.values() if isinstance(more, dict) else more
    texts = [each["content"] for each in listed if each.get("special")]
    texts += [each.get("content") if isinstance(each, dict) else each for each in named]
    return {text for text in texts if isinstance(text, str)}


def template_sha256(folder: Path) -> str:
    """Return the sha256 of the chat template's text (of the empty text where there is none)."""
    return text_sha256(chat_template(folder) or "")


def tokenizer_sha256(folder: Path) -> str:
    """Return the hash of what the tokenizer does: its ``tokenizer.json`` as a value, not as bytes."""
    path = folder / "tokenizer.json"
    if not path.exists():
        raise DataError(f"{folder} has no tokenizer.json: only fast tokenizers are supported")
    try:
        return fingerprint(json.loads(path.read_text(encoding="utf-8"), parse_constant=str))
    except ValueError as error:
        raise DataError(f"{path} is no JSON: it is torn") from error
