#!/usr/bin/env python3
"""Compares phone-nano in libllama with what PyTorch trained: the logits after prompts and after parts of answers.

    tools/phone_nano/check.py --weights out/phone-nano --model examples/models/phone-nano.gguf --bin build/release/bin

Exit code 1 when a logit of an f32 copy of the model differs by more than F32_TOLERANCE, one of --model by more than
MODEL_TOLERANCE, or the most likely token is another one. Needs PyTorch, as train.py does.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import blas  # noqa: F401  before torch
import data
import torch
from model import Model, Sizes
from safetensors_file import read_safetensors
from tokenizer import Vocabulary

F32_TOLERANCE = 0.001
MODEL_TOLERANCE = 0.2
PROMPTS = 60


def read_model(folder):
    """@return the model that train.py wrote, its vocabulary"""
    description = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    sizes = Sizes(**{name: description[name] for name in Sizes().as_dict()})
    vocabulary = Vocabulary(data.language_words(), data.MERGES)
    assert vocabulary.as_json() == description["vocabulary"], "the vocabulary has changed since training"
    model = Model(sizes, len(vocabulary.tokens))
    model.load_gguf_tensors(read_safetensors(folder / "weights.safetensors"))
    return model, vocabulary


def texts():
    """Prompts, each with as much of its answer as its number says."""
    examples = data.unseen()[:PROMPTS]
    return [data.prompt(e.instruction, data.SYSTEM[e.language] if i % 3 == 0 else None) + e.answer[:i % 24]
            for i, e in enumerate(examples)]


def libllama_logits(bin_folder, path, prompts):
    done = subprocess.run([bin_folder / "inferq-gguf-logits", path], input="\n".join(map(json.dumps, prompts)).encode(),
                          stdout=subprocess.PIPE, check=True)
    return [json.loads(line) for line in done.stdout.decode().splitlines()]


def compare(name, expected, answers, tolerance):
    """@return whether all is within bounds"""
    largest, other_choices, spread = 0.0, 0, []
    for (ids, logits), answer in zip(expected, answers):
        assert ids == answer["tokens"], "libllama cuts the text into other tokens"
        there = torch.tensor(answer["logits"])
        largest = max(largest, (there - logits).abs().max().item())
        other_choices += int(there.argmax() != logits.argmax())
        spread.append(logits.std().item())
    print(f"{name}: max |difference| of {len(expected)} x {len(expected[0][1])} logits {largest:.2g} (allowed {tolerance}; "
          f"their standard deviation is {sum(spread) / len(spread):.1f}), other choices: {other_choices}")
    return largest <= tolerance and other_choices == 0


def main():
    parser = argparse.ArgumentParser(description="Compares phone-nano in libllama with what PyTorch trained.")
    parser.add_argument("--weights", type=pathlib.Path, required=True)
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--bin", type=pathlib.Path, required=True)
    arguments = parser.parse_args()

    model, vocabulary = read_model(arguments.weights)
    prompts = texts()
    with torch.no_grad():
        expected = [(ids, model.logits(model.hidden(torch.tensor([ids]))[0, -1]))
                    for ids in map(vocabulary.encode, prompts)]
    with tempfile.TemporaryDirectory() as folder:
        exact = pathlib.Path(folder) / "f32.gguf"
        subprocess.run([arguments.bin / "inferq-make-gguf", "--weights", arguments.weights, "--type", "f32", "--out", exact],
                       check=True, stdout=subprocess.DEVNULL)
        good = compare("f32", expected, libllama_logits(arguments.bin, exact, prompts), F32_TOLERANCE)
    good &= compare(arguments.model.name, expected, libllama_logits(arguments.bin, arguments.model, prompts),
                    MODEL_TOLERANCE)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
