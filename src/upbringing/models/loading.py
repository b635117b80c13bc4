"""The one door through which weights enter: local folders, safetensors, no foreign code, checked on entry."""

from __future__ import annotations

import re
import warnings
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from upbringing.base.devices import require_accelerator
from upbringing.base.errors import IntegrityError, UntrustedError, UpbringingError, UpbringingWarning
from upbringing.formats.record import RECORD_NAME, BuildProfile, LoadCheck, Record, read_record
from upbringing.models.admission import read_settings, require_plain
from upbringing.models.devices import put_on
from upbringing.models.weights import INDEX, WEIGHTS, num_weights, weight_files

SETTINGS = ("generation_config.json", "tokenizer_config.json")  # read by the library beside config.json
ADAPTER_CONFIG = "adapter_config.json"  # makes transformers load an adapter, pickled ones too, or another base
REWARD_ARCHITECTURE = "ForSequenceClassification"
SHOWN_WEIGHTS = 3  # of those that a checkpoint lacks or has too many
COMPILED = "compiled layers"  # among a profile's versions: how layers were trained, not which library reads a file
CHECK_TEXT = "Seven plain words are read aloud here , then the same words are read once more ."
CHECK_TOLERANCE_NATS = 0.02  # eager and SDPA in fp32 differ by about 1e-4 on such a text; a lost setting by far more


@dataclass(frozen=True)
class LoadedModel:
    """A model ready to train or to answer. ``record`` is ``None`` for folders this project did not write."""

    model: Any
    tokenizer: Any
    record: Record | None
    folder: Path


def check_folder(folder: Path) -> dict[str, Any]:
    """Return the configuration of the model in ``folder``; refuse whatever could bring code or pickles.

    Nothing is loaded for it, neither weights nor torch (``models.admission`` says what settings may say).
    """
    path = folder / "config.json"
    if not path.is_file():
        raise IntegrityError(f"{folder} is not a Hugging Face model folder: it has no config.json")
    config = read_settings(path)
    for name in SETTINGS:
        if (folder / name).exists():
            read_settings(folder / name)
    if (folder / ADAPTER_CONFIG).exists():
        raise UntrustedError(
            f"{folder.name} holds an adapter ({ADAPTER_CONFIG}), which the library would put on top of its weights: "
            "merge it into them and save the whole model"
        )
    weight_files(folder)
    if not any((folder / name).is_file() for name in (WEIGHTS, INDEX)):
        raise IntegrityError(f"{folder.name} has neither {WEIGHTS} nor {INDEX}: its weights have names nobody loads")
    require_plain(config, path, num_weights(folder))
    return config


def load_model(
    folder: Path, *, profile: BuildProfile, check: bool = True, precision: Literal["fp32", "bf16"] = "fp32"
) -> LoadedModel:
    """Return the model and tokenizer in ``folder`` with fp32 weights, in evaluation mode, on the profile's device.

    ``precision``: what it will compute in; in ``bf16`` an accelerator is given those weights and never the others.

    With ``check`` the record's fixed text is scored again; raises ``IntegrityError`` if its log-likelihood moved,
    because then a library no longer reads the checkpoint as it was saved, and for files that lack a weight;
    ``TrainingError`` where the profile's device is not here. Never looks anything up on a hub.
    """
    import torch
    from transformers import AutoModelForCausalLM

    require_accelerator(profile.device, profile.world_size)
    if is_reward_model(check_folder(folder)):
        raise IntegrityError(
            f"{folder.name} is a reward model: it scores texts and speaks none; name it as the reward of an rl stage"
        )
    with opening(folder):
        model, found = AutoModelForCausalLM.from_pretrained(
            str(folder),
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=torch.float32,
            attn_implementation=profile.masked_attention,
            output_loading_info=True,
        )
    require_complete(found, folder)
    _warn_of_unused(found, folder)
    is_halved = precision == "bf16" and profile.device != "cpu"
    model = model.eval() if is_halved else put_on(model.eval(), profile.device)
    record = read_record(folder) if (folder / RECORD_NAME).exists() else None
    if check and record is not None and record.load_check is not None:
        compare_load(model, record.load_check, profile, folder)
    if is_halved:  # checked in fp32 on the processor
        model = put_on(model.to(torch.bfloat16), profile.device)
    return LoadedModel(model, open_folder_tokenizer(folder), record, folder)


def require_complete(found: Mapping[str, Any], folder: Path, drawn: Container[str] = ()) -> None:
    """Raise ``IntegrityError`` if a weight of the network stood in no file: the library draws it at random, silently.

    ``found``: the library's loading info. ``drawn``: weights that are meant to be drawn.
    """
    missing = [name for name in map(str, (*found["missing_keys"], *found["mismatched_keys"])) if name not in drawn]
    if missing:
        raise IntegrityError(
            f"{folder.name} lacks the weights {sorted(missing)[:SHOWN_WEIGHTS]}: they would be random numbers. Its "
            "files are incomplete, or its config.json describes another network"
        )


def _warn_of_unused(found: Mapping[str, Any], folder: Path) -> None:
    if unused := sorted(map(str, found["unexpected_keys"])):
        warnings.warn(
            f"{folder.name} holds the weights {unused[:SHOWN_WEIGHTS]}, for which the network of its config.json "
            "has no place: they are not used",
            UpbringingWarning,
            stacklevel=3,
        )


@contextmanager
def opening(folder: Path) -> Iterator[None]:
    """Turn what transformers raises over a folder that it cannot open into an ``IntegrityError`` that names it."""
    try:
        yield
    except (KeyError, OSError, RuntimeError, ValueError) as error:
        is_shortage = getattr(error, "errno", None) is not None or re.search("out of memory|allocate", str(error))
        if is_shortage or isinstance(error, UpbringingError):
            raise
        said = next((line.strip() for line in str(error).splitlines() if line.strip()), "no message")
        raise IntegrityError(
            f"{folder.name} cannot be opened by transformers: {type(error).__name__}: {said}"
        ) from error


def is_reward_model(config: dict[str, Any]) -> bool:
    """Return whether a configuration is that of a model whose head gives a text one number."""
    return any(str(name).endswith(REWARD_ARCHITECTURE) for name in config.get("architectures") or ())


def open_folder_tokenizer(folder: Path) -> Any:
    """Return the tokenizer in ``folder`` without any look-up or foreign code."""
    from transformers import AutoTokenizer

    with opening(folder):
        return AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)


def log_likelihood(model: Any, token_ids: tuple[int, ...]) -> float:
    """Return the summed log-likelihood (nats) of the tokens after the first, computed in fp32."""
    import torch

    ids = torch.tensor([token_ids], device=model.device)
    with torch.no_grad():
        logits = model(input_ids=ids, use_cache=False).logits.float()  # (1, time, vocab)
    scores = torch.log_softmax(logits[0, :-1], dim=-1)
    return float(scores.gather(1, ids[0, 1:, None]).sum())


def make_load_check(model: Any, tokenizer: Any, versions: dict[str, str]) -> LoadCheck:
    """Return the load check of a model that is about to be saved."""
    ids = tuple(int(token) for token in tokenizer(CHECK_TEXT, add_special_tokens=False)["input_ids"])
    return LoadCheck(
        token_ids=ids, log_likelihood=log_likelihood(model, ids), tolerance=CHECK_TOLERANCE_NATS, versions=versions
    )


def compare_load(model: Any, check: LoadCheck, profile: BuildProfile, folder: Path) -> None:
    """Raise ``IntegrityError`` if the fixed text scores differently from when the checkpoint was saved."""
    found = log_likelihood(model, check.token_ids)
    if abs(found - check.log_likelihood) > check.tolerance or found != found:  # NaN is unequal to itself
        raise IntegrityError(
            f"{folder.name}: the fixed text scores {found:.4f} nats, it scored {check.log_likelihood:.4f} when the "
            f"checkpoint was saved. {why_loaded_otherwise(check, profile)}"
        )


def why_loaded_otherwise(check: LoadCheck, profile: BuildProfile) -> str:
    """Return what is to be done about a load check that failed: it depends on whether the libraries are others."""
    then, now = (
        {name: each for name, each in of.items() if name != COMPILED} for of in (check.versions, profile.versions)
    )
    if then == now:
        return (
            f"The libraries are those of then ({then}), so its files were changed or damaged since: restore them, or "
            "build it anew"
        )
    return (
        f"It was saved with {then}; now {now or 'unknown'}. A setting is read differently, or its files were changed: "
        "use the saving versions, then compare the files"
    )
