"""A real, tiny cross-encoder in a folder: a BERT with a tokenizer trained here, taught to prefer one word."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def build(folder: Path, texts: Sequence[str], *, likes: str, labels: int = 1) -> Path:
    """Save a cross-encoder that scores pairs whose passage holds the word `likes` above all others."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    raw = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    raw.normalizer = normalizers.Lowercase()
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    raw.train_from_iterator([*texts, likes], trainers.WordLevelTrainer(special_tokens=special, show_progress=False))
    raw.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=128,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        num_labels=labels,
    )
    model = BertForSequenceClassification(config)
    if labels == 1:
        words = [word for word in raw.get_vocab() if word not in special and word != likes]
        draw = torch.Generator().manual_seed(0)
        questions, passages, wanted = [], [], []
        for n in range(256):
            drawn = [words[int(i)] for i in torch.randint(len(words), (14,), generator=draw)]
            bag = drawn[2 : 6 + n % 8]
            if n % 2:
                bag[n % len(bag)] = likes
            questions.append(" ".join(drawn[:2]))
            passages.append(" ".join(bag))
            wanted.append(float(n % 2))
        batch = tokenizer(questions, passages, return_tensors="pt", padding=True)
        optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
        for _ in range(120):
            logits = model(**batch).logits[:, 0]
            torch.nn.functional.binary_cross_entropy_with_logits(logits, torch.tensor(wanted)).backward()
            optimizer.step()
            optimizer.zero_grad()
    model.save_pretrained(folder)
    tokenizer.model_max_length = 128
    tokenizer.save_pretrained(folder)
    return folder
