"""What a checkpoint's settings may say, read as plain JSON before any library sees them.

A configuration describes a network. Whatever could choose code, other files, another place or a network that the
weights beside it cannot be is refused by name, because libraries have followed such settings (CVE-2026-4372: a private
setting ran a hub's code although remote code was off).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from upbringing.base.errors import IntegrityError, UntrustedError

CODE = "foreign code"
OTHER_TOKENIZER = "another tokenizer than tokenizer.json"
QUANTISED = "weights that need a quantiser's own code; convert them to plain ones first"
# Settings that make transformers import or choose code, or read text by another file than the one that is hashed; none
# is needed for the models it ships.
REFUSED_SETTINGS = {
    "auto_map": CODE,
    "custom_pipelines": CODE,
    "custom_generate": CODE,
    "_attn_implementation_internal": CODE,
    "_experts_implementation_internal": CODE,
    "kernel_config": CODE,
    "use_kernels": CODE,
    "quantization_config": QUANTISED,
    "compression_config": QUANTISED,
    "fast_tokenizer_files": OTHER_TOKENIZER,
    "tokenizer_file": OTHER_TOKENIZER,
    "vocab_file": OTHER_TOKENIZER,
    "merges_file": OTHER_TOKENIZER,
    "spm_file": OTHER_TOKENIZER,
}
# Private settings that older versions of the library wrote and none follows; any other reaches into the library.
KNOWN_PRIVATE = frozenset(
    {
        "_attn_implementation_autoset",
        "_commit_hash",
        "_flash_attn_2_enabled",
        "_from_model_config",
        "_model_name_or_path",
        "_name_or_path",
        "_remove_final_layer_norm",
        "_sliding_window_pattern",
    }
)
ATTENTIONS = ("eager", "sdpa", "flash_attention_2", "flash_attention_3", "flex_attention")  # the library's own
ATTENTION_SETTINGS = ("attn_implementation", "_attn_implementation", "experts_implementation")
DTYPE_SETTINGS = ("dtype", "torch_dtype")
DTYPE = re.compile(r"^(torch\.)?(b?float|u?int|auto|half)[0-9a-z_]*$")
NOTES = frozenset(  # free text
    {"_model_name_or_path", "_name_or_path", "name_or_path", "id2label", "label2id", "task_specific_params"}
)
NAME = re.compile(r"^_?[A-Za-z][\w.]*$")
PLACE = re.compile(r"[/\\:]|^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$")  # a path, an address, a repository or a module
WIDTHS = ("hidden_size", "n_embd", "d_model")
SIZES = (
    *WIDTHS,
    "vocab_size",
    "num_hidden_layers",
    "n_layer",
    "n_layers",
    "num_layers",
    "intermediate_size",
    "n_inner",
    "ffn_dim",
    "num_attention_heads",
    "n_head",
    "n_heads",
    "num_key_value_heads",
    "head_dim",
    "num_experts",
    "num_local_experts",
    "n_routed_experts",
)
TIMES_WIDTH = ("vocab_size", "num_hidden_layers", "n_layer", "n_layers", "num_layers", "intermediate_size", "n_inner")
POSITIONS = ("max_position_embeddings", "n_positions", "n_ctx", "max_sequence_length", "seq_length")
MAX_POSITIONS = 1 << 24
MAX_BYTES = 32 << 20  # of a file of settings
MAX_DEPTH = 32

Setting = tuple[str, Any, str]  # its name, its value, and the name of what it stands in


def read_settings(path: Path) -> dict[str, Any]:
    """Return the settings in a JSON file.

    Raises ``IntegrityError`` where it is torn, ``UntrustedError`` for a setting at any depth that brings code.
    """
    if path.stat().st_size > MAX_BYTES:
        raise UntrustedError(f"{_named(path)} has {path.stat().st_size} bytes: no settings are as long")
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        raise IntegrityError(f"{path} is not JSON: it is torn") from None
    if not isinstance(content, dict):
        raise IntegrityError(f"{path} is not a configuration")
    for name, value, _ in _settings(content, path):
        if name in REFUSED_SETTINGS and value:
            raise UntrustedError(f"{_named(path)} sets {name!r}, which brings {REFUSED_SETTINGS[name]}: refused")
    return content


def _settings(content: Mapping[str, Any], path: Path) -> Iterator[Setting]:
    """Yield every setting of a file, those inside others too."""
    waiting: list[tuple[Any, str, int]] = [(content, "", 0)]
    while waiting:
        value, inside, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise UntrustedError(f"{_named(path)} nests its settings more than {MAX_DEPTH} deep: refused")
        if isinstance(value, dict):
            for name, each in value.items():
                yield name, each, inside
                waiting.append((each, name, depth + 1))
        elif isinstance(value, list):
            waiting += [(each, inside, depth + 1) for each in value]


def require_plain(config: Mapping[str, Any], path: Path, num_weights: int) -> None:
    """Raise ``UntrustedError`` for a network's configuration that does more than describe a network that this library
    ships and ``num_weights`` weights can be.
    """
    for name, value, inside in _settings(config, path):
        if inside in NOTES:
            continue
        if problem := _problem(name, value):
            raise UntrustedError(f"{_named(path)} sets {name!r} to {_shown(value)}, {problem}: refused")
    _require_shipped(config, path)
    _require_sizes(config, path, num_weights)


def _problem(name: str, value: Any) -> str | None:
    """Return why a setting may not stand in a configuration."""
    if not NAME.match(name) or (name.startswith("_") and name not in (*KNOWN_PRIVATE, *ATTENTION_SETTINGS)):
        return "which is no setting of a network but reaches into the library"
    if name in ATTENTION_SETTINGS:
        known = value is None or value in ATTENTIONS
        return (
            None
            if known
            else f"which is none of the library's own ({', '.join(ATTENTIONS)}); the build profile chooses"
        )
    if name in DTYPE_SETTINGS:
        return None if not isinstance(value, str) or DTYPE.match(value) else "which is no type of numbers"
    strings = value if isinstance(value, list) else [value]
    names_place = name not in NOTES and any(isinstance(each, str) and PLACE.search(each) for each in strings)
    return (
        "which names a place (a file, an address, a module) that something could be loaded from"
        if names_place
        else None
    )


def _require_shipped(config: Mapping[str, Any], path: Path) -> None:
    """Raise ``UntrustedError`` for a network that the installed library does not ship; loads no torch."""
    names = config.get("architectures") or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in (*names, config.get("model_type", ""))):
        raise UntrustedError(f"{_named(path)} names no architecture that can be read: refused")
    try:
        import transformers
    except ImportError:
        return  # nothing here could load it
    known = set(dir(transformers))
    unknown = [name for name in names if name not in known]
    kind = config.get("model_type")
    if not unknown and kind is not None and kind not in (_model_types() or {kind}):
        unknown = [kind]
    if unknown:
        raise UntrustedError(
            f"{_named(path)} describes the architecture {unknown[0]!r}, which transformers {transformers.__version__} "
            "does not ship: code of others is never run; use a version that ships it"
        )


def _model_types() -> frozenset[str] | None:
    """Return the kinds of networks that the library ships, ``None`` for versions that say so with torch loaded only."""
    try:
        from transformers.models.auto.auto_mappings import CONFIG_MAPPING_NAMES
    except ImportError:
        return None
    return frozenset(CONFIG_MAPPING_NAMES)


def _require_sizes(config: Mapping[str, Any], path: Path, num_weights: int) -> None:
    """Raise ``UntrustedError`` for sizes of a network that the weights in the folder cannot be.

    The library would draw what is missing at random before anything could be compared: as many numbers as it is told.
    """
    width = max((each for name in WIDTHS for each in _numbers(config.get(name), name, path)), default=1)
    for name, value, _ in _settings(config, path):
        if name in SIZES:
            times = width if name in TIMES_WIDTH else 1
            for size in _numbers(value, name, path):
                if size * times > num_weights:
                    raise UntrustedError(
                        f"{_named(path)} sets {name!r} to {size}, a network with more weights than the {num_weights} "
                        "that its files hold: refused"
                    )
        elif name in POSITIONS and any(size > MAX_POSITIONS for size in _numbers(value, name, path)):
            raise UntrustedError(f"{_named(path)} sets {name!r} to {_shown(value)}, more than {MAX_POSITIONS}: refused")


def _numbers(value: Any, name: str, path: Path) -> list[int]:
    """Return the sizes that a setting holds; raise ``UntrustedError`` for what is none."""
    found = [each for each in (value if isinstance(value, list) else [value]) if each is not None]
    if any(isinstance(each, bool) or not isinstance(each, int) or each < 0 for each in found):
        raise UntrustedError(f"{_named(path)} sets {name!r} to {_shown(value)}, which is no size: refused")
    return found


def _named(path: Path) -> str:
    return f"{path.name} of {path.parent.name}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
