"""Low-rank adapters: attached with a seed, trained alone, merged in fp32 so that children start from one model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from upbringing.training.settings import Lora


def attach_adapter(model: Any, lora: Lora, seed: int) -> Any:
    """Return ``model`` with fresh adapters; their initial values depend on ``seed`` alone."""
    import torch
    from peft import LoraConfig, get_peft_model

    targets = lora.targets if lora.targets == "all-linear" else list(lora.targets)
    config = LoraConfig(
        r=lora.rank, lora_alpha=lora.alpha, lora_dropout=lora.dropout, target_modules=targets, task_type="CAUSAL_LM"
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return get_peft_model(model, config)


def merge_adapter(model: Any, output: Path) -> Any:
    """Save the adapter beside the checkpoint (``adapter/``) and return the merged fp32 model."""
    model.save_pretrained(str(output / "adapter"))
    return model.merge_and_unload(safe_merge=True)
