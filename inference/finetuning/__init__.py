"""Adapting a model to own questions: LoRA, QLoRA and quantization-aware training. See `recipe`."""
