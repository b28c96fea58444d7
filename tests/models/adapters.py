"""LoRA adapters for the tiny models, with weights that count."""

from __future__ import annotations

from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model

from inference import loading


def trained(base: Path, into: Path, *, width: int = 0, rank: int = 4) -> Path:
    """As peft writes it, on a model of the base's shape or of another width."""
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(base)
    if width:
        config.intermediate_size = width
    torch.manual_seed(3)
    model = AutoModelForCausalLM.from_config(config) if width else loading.load(base, device="cpu").model.float()
    adapted = get_peft_model(model, LoraConfig(r=rank, target_modules=["q_proj", "down_proj"], task_type="CAUSAL_LM"))
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    adapted.save_pretrained(into, safe_serialization=True)
    (into / "README.md").unlink(missing_ok=True)
    return into
