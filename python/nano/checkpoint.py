"""Writes trained weights as a Hugging Face folder, and reads them back."""

import json
import os

import torch
from safetensors.torch import load_file, save_file

from model import Config, Dbrx


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2) + "\n")


def export(model, folder, tokenizer):
    """config.json, generation_config.json and model.safetensors (bf16, the released tensor names)."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", model.c.to_hf())
    end, pad = tokenizer.token_to_id("<|endoftext|>"), tokenizer.token_to_id("<|pad|>")
    write_json(folder / "generation_config.json", dict(
        eos_token_id=[end, tokenizer.token_to_id("<|im_end|>")], pad_token_id=pad, do_sample=False))
    tensors = {name: p.detach().to(torch.bfloat16).contiguous() for name, p in model.named_parameters()}
    # Readers map this file: it is replaced whole, never changed in place.
    temporary = folder / "model.safetensors.new"
    save_file(tensors, temporary, metadata={"format": "pt"})
    os.chmod(temporary, 0o644)  # safetensors makes it readable by its owner only
    os.replace(temporary, folder / "model.safetensors")


def load(folder):
    """The model with the weights of `folder`, as fp32."""
    model = Dbrx(Config.from_hf(folder / "config.json"))
    tensors = load_file(folder / "model.safetensors")
    model.load_state_dict({k: v.float() for k, v in tensors.items()})
    return model
