#!/usr/bin/env python3
"""Trains phone-nano and writes what inferq-make-gguf makes the model of. Needs PyTorch (Debian: python3-torch, and
libopenblas0-pthread, which makes it several times faster).

    tools/phone_nano/train.py --out out/phone-nano      writes weights.safetensors and model.json there
"""

import argparse
import json
import math
import pathlib
import time

import blas  # noqa: F401  before torch
import data
import torch
from model import Model, Sizes
from safetensors_file import read_safetensors, write_safetensors
from tokenizer import END_OF_TURN, Vocabulary
from torch.nn import functional

BATCH = 32
WINDOW = 64 * BATCH            # examples that are sorted by length, so that a batch needs little padding
WARM_UP, DECAY = 150, 0.02
SYSTEM_SHARE = 0.15


# By round: the peak of the rate, which follows a cosine, and Adam's epsilon for the embedding. Characters that are rare get
# next to no gradient but that of not being the answer, which Adam blows up until they look alike and are copied wrong. The
# second round, with a larger epsilon, sets them apart again.
PEAK_RATES, EMBEDDING_EPSILONS = (3e-3, 1.5e-3), (1e-8, 1e-4)


def encode(vocabulary, example, system=None):
    """@return prompt ids, answer ids with the end of the turn"""
    return (vocabulary.encode(data.prompt(example.instruction, system)),
            vocabulary.encode(example.answer + END_OF_TURN))


def collate(pairs):
    """@return ids [batch, length], the positions (flat) whose next token belongs to an answer, those tokens"""
    length = max(len(prompt) + len(answer) for prompt, answer in pairs) - 1
    ids = torch.zeros(len(pairs), length, dtype=torch.long)
    places, targets = [], []
    for row, (prompt, answer) in enumerate(pairs):
        text = prompt + answer
        ids[row, :len(text) - 1] = torch.tensor(text[:-1])
        first = row * length + len(prompt) - 1
        places += range(first, first + len(answer))
        targets += answer
    return ids, torch.tensor(places), torch.tensor(targets)


def answer_logits(model, ids, places):
    return model.logits(model.hidden(ids).flatten(0, 1)[places])


def exact_share(model, vocabulary, examples, system=None):
    """The share of examples of whose answer every token, and the end, is the most likely one: greedy decoding of them
    gives that answer."""
    right = 0
    with torch.no_grad():
        for begin in range(0, len(examples), BATCH):
            pairs = [encode(vocabulary, example, system) for example in examples[begin:begin + BATCH]]
            ids, places, targets = collate(pairs)
            hit = answer_logits(model, ids, places).argmax(-1) == targets
            right += sum(bool(part.all()) for part in hit.split([len(answer) for _, answer in pairs]))
    return right / len(examples)


def batches(vocabulary, examples, seed):
    """Batches of encoded examples of similar length, in random order."""
    drawer = data.Drawer(seed)
    for begin in range(0, len(examples), WINDOW):
        window = []
        for example in examples[begin:begin + WINDOW]:
            system = data.SYSTEM[example.language] if drawer.chance(SYSTEM_SHARE) else None
            window.append(encode(vocabulary, example, system))
        window.sort(key=lambda pair: len(pair[0]) + len(pair[1]))
        parts = [window[i:i + BATCH] for i in range(0, len(window), BATCH)]
        while parts:
            yield collate(parts.pop(drawer.below(len(parts))))


def rate(step, steps, peak):
    if step < WARM_UP:
        return peak * (step + 1) / WARM_UP
    return peak * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * (step - WARM_UP) / max(1, steps - WARM_UP))))


def train(model, vocabulary, number, evaluations, save):
    """One round. Calls `save` at every evaluation, so that a run that is cut short leaves something."""
    examples = data.training_examples(number)
    steps = math.ceil(len(examples) / BATCH)
    optimizer = torch.optim.AdamW([
        {"params": [model.token_embd.weight], "weight_decay": DECAY, "eps": EMBEDDING_EPSILONS[number]},
        {"params": [p for p in model.blk.parameters() if p.dim() == 2], "weight_decay": DECAY},
        {"params": [p for p in model.parameters() if p.dim() == 1], "weight_decay": 0}], betas=(0.9, 0.98))
    begin = time.time()
    for step, (ids, places, targets) in enumerate(batches(vocabulary, examples, data.SEED + 3 + number)):
        for group in optimizer.param_groups:
            group["lr"] = rate(step, steps, PEAK_RATES[number])
        loss = functional.cross_entropy(answer_logits(model, ids, places), targets)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 50 == 0:
            print(f"step {step} of {steps}  loss {loss.item():.4f}  {time.time() - begin:.0f} s", flush=True)
        if step % 250 == 249 or step + 1 == steps:
            shares = {name: exact_share(model, vocabulary, part) for name, part in evaluations.items()}
            print("  exact: " + ", ".join(f"{name} {share:.1%}" for name, share in shares.items()), flush=True)
            save()


def write_model(folder, model, vocabulary):
    """What inferq-make-gguf --weights reads."""
    write_safetensors(folder / "weights.safetensors", model.gguf_tensors())
    description = {"name": "phone-nano", "arch": "glm4", **model.sizes.as_dict(), "vocabulary": vocabulary.as_json()}
    text = json.dumps(description, ensure_ascii=False, indent=1) + "\n"
    (folder / "model.json").write_text(text, encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description="Trains phone-nano.")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--from-round", type=int, default=0, help="goes on from the weights in --out after earlier rounds")
    arguments = parser.parse_args()
    torch.manual_seed(data.SEED)

    evaluations = dict(zip(("unseen combinations", "unseen"), data.evaluations()))
    vocabulary = Vocabulary(data.language_words(), data.MERGES)
    model = Model(Sizes(), len(vocabulary.tokens))
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(vocabulary.tokens):,} tokens", flush=True)
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.from_round > 0:
        model.load_gguf_tensors(read_safetensors(arguments.out / "weights.safetensors"))
    for number in range(arguments.from_round, len(data.ROUNDS)):
        train(model, vocabulary, number, evaluations, lambda: write_model(arguments.out, model, vocabulary))


if __name__ == "__main__":
    main()
