#!/usr/bin/env python3
"""The examples of phone-nano: an instruction and the action that it calls for.

    tools/phone_nano/data.py            writes the evaluation files into examples/phone-nano/
    tools/phone_nano/data.py --check    exit code 1 when they are not what would be written

A phrasing is an instruction with a slot {x}, a filler what stands in the slot. There are three kinds of examples:

- training: training phrasings with listed fillers or with fillers made up on the spot;
- unseen combinations: such a phrasing with such a listed filler, both seen in training but never together;
- unseen: phrasings and fillers that training never has.

Everything comes from a seed: the same examples on every machine.
"""

import collections
import hashlib
import json
import pathlib
import random
import re
import sys
from dataclasses import dataclass

from language import ANSWERS, APPS, FILLED, PARTS, PHRASINGS, SYSTEM, TEXTS
from language import UNSEEN_APPS, UNSEEN_PHRASINGS, UNSEEN_TEXTS
from tokenizer import hanzi

SEED = 20
ROUNDS = (120_000, 40_000)   # training examples of each round
EVALUATION_LINES = 300
MERGES = 700            # of words, in the vocabulary
FOLDER = pathlib.Path(__file__).resolve().parents[2] / "examples" / "phone-nano"

SHARES = {"launch": 42, "type": 21, "finish": 11, "wait": 5, "tap": 7, "back": 4, "home": 4, "up": 1.5, "down": 1.5,
          "left": 1.5, "right": 1.5}
SLOT = re.compile(r"\{(\w+)\}")
HANZI = hanzi()[:3755]
ENDINGS = "地图 音乐 日记 商城 助手 浏览器 视频 笔记 天气 银行 阅读 相机 课堂 健身 邮箱 钱包 书法 快递 外卖 电台 英语 打车 游戏 农场".split()
ENGLISH_ENDINGS = ("Notes Maps Mail Music Bank Health Rides Reader Chat Photos Pay Browser Files Radio Fit Games Cart Keys "
                   "Pro Lite Sleep Video").split()
ONSETS = "b c d f g h j k l m n p r s t v w y z br cl dr fl gr pl qu sh st th tr wh".split()
VOWELS = "a e i o u a e i o ee oo ai ou ea".split()
CODAS = ["", "", "", "n", "r", "l", "s", "t", "m", "ck", "ng", "ll", "st", "p", "d", "x"]
# Unquoted texts and names neither begin nor end with words that may stand beside them.
BESIDE = ("polite", "call", "when", "after", "join", "which", "sort", "where", "words", "into", "onward")
EDGE_WORDS = {word.lower() for part in BESIDE for text in PARTS["en"][part] for word in re.findall(r"[A-Za-z]+", text)}


@dataclass(frozen=True)
class Example:
    kind: str          # the action, a key of ANSWERS
    language: str      # "zh" or "en"
    phrasing: str      # with {x} where the filler stands
    filler: str        # "" without a slot
    instruction: str
    answer: str


def unseen_fillers():
    tables = (UNSEEN_APPS, UNSEEN_TEXTS)
    return {filler.lower() for table in tables for fillers in table.values() for filler in fillers}


def unseen_phrasings():
    return {phrasing for table in UNSEEN_PHRASINGS.values() for phrasings in table.values() for phrasing in phrasings}


def is_reserved(phrasing, filler):
    """Whether training leaves this pair of a phrasing and a listed filler out: one in eight."""
    return hashlib.sha256(f"{phrasing}|{filler}".encode()).digest()[0] % 8 == 0


def english_texts():
    """All English words of the training tables, in texts."""
    parts = [text for texts in PARTS["en"].values() for text in texts]
    middles = [text for table in PHRASINGS.values() for text in table["en"]]
    return TEXTS["en"] + [SLOT.sub("", text) for text in parts + middles]


class Drawer:
    """Draws examples, one after the other."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.unseen_fillers = unseen_fillers()
        self.unseen_phrasings = re.compile("|".join(map(re.escape, sorted(unseen_phrasings()))), re.IGNORECASE)
        self.words = sorted({word for text in english_texts() for word in re.findall(r"[a-z]{2,}", text)})
        self.inner_words = [word for word in self.words if word not in EDGE_WORDS]

    # random.Random.random() alone gives the same numbers in every Python version.
    def below(self, n):
        return int(self.rng.random() * n)

    def chance(self, share):
        return self.rng.random() < share

    def one_of(self, items):
        return items[self.below(len(items))]

    def characters(self, low, high):
        characters = [self.one_of(HANZI) for _ in range(low + self.below(high - low + 1))]
        if len(characters) > 1 and self.chance(0.12):   # one of them comes twice
            characters[self.below(len(characters))] = self.one_of(characters)
        return "".join(characters)

    def made_up_word(self):
        syllables = 1 + self.below(3)
        word = "".join(self.one_of(ONSETS) + self.one_of(VOWELS) + self.one_of(CODAS) for _ in range(syllables))
        if self.chance(0.3):   # pieces of words, as the vocabulary has them
            a, b = self.one_of(self.words), self.one_of(self.words)
            word = a[:1 + self.below(len(a))] + b[self.below(len(b)):]
        if self.chance(0.1):   # any letters at all
            word = "".join(chr(97 + self.below(26)) for _ in range(2 + self.below(6)))
        return word

    def chinese_name(self):
        if self.chance(0.3):
            return self.characters(1, 3) + self.one_of(ENDINGS)
        if self.chance(0.06):
            return self.characters(1, 2) + str(self.below(1000))
        return self.characters(2, 5)

    def english_name(self):
        words = [self.one_of(self.inner_words) if self.chance(0.2) else self.made_up_word()
                 for _ in range(self.one_of((1, 1, 1, 2, 2, 3)))]
        style = self.rng.random()
        if style < 0.75:
            words = [word.capitalize() for word in words]
        if style < 0.08:
            words = ["".join(words)]
        if self.chance(0.15):
            words.append(self.one_of(ENGLISH_ENDINGS))
        if self.chance(0.05):
            words.append(str(self.below(400)))
        return " ".join(words)

    def name(self, tongue):
        other = self.chance(0.1)
        if (tongue == "zh") != other:
            return self.chinese_name() + (self.made_up_word() if self.chance(0.02) else "")
        return self.english_name() if not self.chance(0.03) else self.made_up_word().capitalize() + self.chinese_name()

    def text(self, tongue):
        if self.chance(0.1):
            return self.name(tongue)
        if tongue == "zh":
            if self.chance(0.4):   # two halves of real texts, or one with something made up
                a, b = self.one_of(TEXTS["zh"]), self.one_of(TEXTS["zh"])
                return a[:1 + self.below(len(a))] + (b[self.below(len(b)):] if self.chance(0.5) else self.characters(1, 4))
            return self.characters(1, 8)
        count = 1 + self.below(5)
        words = [self.one_of(self.words) if self.chance(0.5) else self.made_up_word() for _ in range(count)]
        if self.chance(0.1):
            words[self.below(count)] = self.one_of(words)
        for edge in (0, -1):
            if words[edge].lower() in EDGE_WORDS:
                words[edge] = self.made_up_word()
        if self.chance(0.25):
            words[0] = words[0].capitalize()
        return " ".join(words)

    def made_up(self, kind, tongue):
        return self.name(tongue) if kind == "launch" else self.text(tongue)

    def filler(self, kind, tongue):
        """@return a filler and whether it is a listed one."""
        if kind == "wait":
            return str(1 + self.below(60)), False
        if kind == "tap":
            return f"{self.below(1000)},{self.below(1000)}", False
        if kind not in FILLED:
            return "", False
        if self.chance(0.25):
            return self.one_of((APPS if kind == "launch" else TEXTS)[tongue]), True
        while True:
            filler = self.made_up(kind, tongue)
            if filler.lower() not in self.unseen_fillers:
                return filler, False

    def expand(self, text, tongue):
        """Replaces names of parts by parts, but for {x} and {y}."""
        parts = PARTS[tongue]
        return SLOT.sub(lambda slot: self.expand(self.one_of(parts[slot[1]]), tongue) if slot[1] in parts else slot[0],
                        text)

    def phrasing(self, kind, tongue):
        """One that no unseen phrasing is a part of."""
        while True:
            end = "{then}" if kind == "launch" and self.chance(0.25) else "{after}"
            phrasing = self.expand("{before}" + self.one_of(PHRASINGS[kind][tongue]) + end, tongue)
            if not self.unseen_phrasings.search(phrasing):
                return phrasing

    def fill(self, kind, tongue, phrasing, filler, then=None):
        """@param then  what stands for {y}; made up when it is None"""
        shown = filler
        if kind == "tap":   # as people write positions
            x, y = filler.split(",")
            shown = self.one_of((f"({x}, {y})", f"[{x},{y}]", f"{x},{y}", f"{x} {y}", f"({x},{y})", f"{x}, {y}"))
        instruction = phrasing.replace("{x}", shown)
        while "{w}" in instruction:
            word = self.one_of(self.words) if tongue == "en" else self.characters(1, 2)
            instruction = instruction.replace("{w}", word, 1)
        while "{y}" in instruction:
            instruction = instruction.replace("{y}", then or self.text(tongue), 1)
        return Example(kind, tongue, phrasing, filler, instruction, ANSWERS[kind].replace("{x}", filler))

    def kind(self):
        point = self.rng.random() * sum(SHARES.values())
        for kind, share in SHARES.items():
            point -= share
            if point < 0:
                return kind
        return "launch"

    def training(self):
        kind, tongue = self.kind(), self.one_of(("zh", "en"))
        while True:
            phrasing = self.phrasing(kind, tongue)
            filler, listed = self.filler(kind, tongue)
            if not (listed and is_reserved(phrasing, filler)):
                return self.fill(kind, tongue, phrasing, filler)


def training_examples(number, count=None):
    """Those of round `number`, or the first `count` of them."""
    drawer = Drawer(SEED + 10 * number)
    return [drawer.training() for _ in range(count or ROUNDS[number])]


def unseen_combinations(training):
    """Phrasings and listed fillers of `training`, in pairs that it does not have."""
    seen = collections.defaultdict(lambda: ([], set()))
    for example in training:
        if example.kind in FILLED:
            phrasings, fillers = seen[example.kind, example.language]
            phrasings.append(example.phrasing)
            fillers.add(example.filler)
    drawer, found = Drawer(SEED + 1), {}
    while len(found) < EVALUATION_LINES:
        kind, tongue = drawer.one_of(("launch", "launch", "type", "finish")), drawer.one_of(("zh", "en"))
        phrasings, fillers = seen[kind, tongue]
        phrasing = drawer.one_of(phrasings)
        filler = drawer.one_of((APPS if kind == "launch" else TEXTS)[tongue])
        if is_reserved(phrasing, filler) and filler in fillers:
            then = drawer.one_of(TEXTS[tongue])
            found[phrasing, filler] = drawer.fill(kind, tongue, phrasing, filler, then)
    return list(found.values())


def unseen():
    drawer, found = Drawer(SEED + 2), {}
    while len(found) < EVALUATION_LINES:
        kind, tongue = drawer.kind(), drawer.one_of(("zh", "en"))
        phrasing = drawer.one_of(UNSEEN_PHRASINGS[kind][tongue])
        filler, _ = drawer.filler(kind, tongue)
        if kind in FILLED:
            filler = drawer.one_of((UNSEEN_APPS if kind == "launch" else UNSEEN_TEXTS)[tongue])
        example = drawer.fill(kind, tongue, phrasing, filler)
        found[example.instruction] = example
    return list(found.values())


def check_splits(training, combinations, new):
    """Stops where an evaluation example is not what its split says."""
    phrasings = {example.phrasing for example in training}
    everything = "\n".join(phrasings).lower()
    fillers = {example.filler.lower() for example in training}
    pairs = {(example.phrasing, example.filler) for example in training}
    for example in combinations:
        assert example.phrasing in phrasings and example.filler.lower() in fillers, example
        assert (example.phrasing, example.filler) not in pairs, example
    alphabet = {character for example in training for character in example.instruction}
    for example in new:
        assert alphabet.issuperset(example.instruction), example
        assert example.phrasing.lower() not in everything, example
        assert example.kind not in FILLED or example.filler.lower() not in fillers, example


def evaluations():
    """@return the two splits, after a look at all training examples"""
    rounds = [training_examples(number) for number in range(len(ROUNDS))]
    combinations, new = unseen_combinations(rounds[-1]), unseen()
    check_splits(sum(rounds, []), combinations, new)
    return combinations, new


def as_lines(name, examples):
    rows = ({"id": f"{name}-{number:03}", "instruction": e.instruction, "expected": e.answer}
            for number, e in enumerate(examples, 1))
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def prompt(instruction, system=None):
    """What libllama renders of the model's chat template for one user message."""
    before = f"<|system|>\n{system}" if system else ""
    return f"[gMASK]<sop>{before}<|user|>\n{instruction}<|assistant|>\n"


def language_words():
    """Words and how often they are met, for the vocabulary. A file, so that the vocabulary stays when the language grows."""
    lines = (pathlib.Path(__file__).parent / "words.txt").read_text(encoding="utf-8").splitlines()
    return collections.Counter({word: int(count) for word, count in map(str.split, lines)})


def files():
    combinations, new = evaluations()
    return {"unseen_combinations.jsonl": as_lines("combination", combinations), "unseen.jsonl": as_lines("unseen", new)}


def main():
    if sys.argv[1:] not in ([], ["--check"]):
        print(__doc__)
        return 2
    for name, text in files().items():
        path = FOLDER / name
        if not sys.argv[1:]:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            print(f"{path} is not what tools/phone_nano/data.py writes; run it")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
