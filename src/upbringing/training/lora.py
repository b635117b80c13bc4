"""Low-rank adapters: attached with a seed, trained alone, merged in fp32 so that children start from one model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from upbringing.base.streams import derived_seed
from upbringing.training.settings import Lora
from upbringing.training.trainer import renaming_unmentioned

ADAPTER_FOLDER = "adapter"
CARD_OF_PEFT = "README.md"  # a template full of blanks; the checkpoint's own card is one folder up


def attach_adapter(model: Any, lora: Lora, seed: int, task: str = "CAUSAL_LM") -> Any:
    """Return ``model`` with fresh adapters. Their initial values come from the stream ``adapters`` under ``seed``.

    ``task``: peft's name for what the model does; the head of a reward model (``SEQ_CLS``) is trained whole.
    """
    import torch
    from peft import LoraConfig, get_peft_model

    targets = lora.targets if lora.targets == "all-linear" else list(lora.targets)
    config = LoraConfig(
        r=lora.rank, lora_alpha=lora.alpha, lora_dropout=lora.dropout, target_modules=targets, task_type=task
    )
    with torch.random.fork_rng(devices=[]), renaming_unmentioned():  # they are drawn on the CPU, whatever the device
        torch.default_generator.manual_seed(derived_seed(seed, "adapters"))
        return get_peft_model(model, config)


def merge_adapter(model: Any, output: Path) -> Any:
    """Save the adapter beside the checkpoint (``adapter/``) and return the merged fp32 model."""
    for config in model.peft_config.values():
        config.base_model_name_or_path = ""  # else a path of this machine; the record names the parent
    model.save_pretrained(str(output / ADAPTER_FOLDER))
    (output / ADAPTER_FOLDER / CARD_OF_PEFT).unlink(missing_ok=True)
    return model.merge_and_unload(safe_merge=True)
