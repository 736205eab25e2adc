"""The example model examples/models/phone-nano.gguf, through `inferq run`: how often its answer is exactly the right one."""

import csv
import json
import os
import pathlib
import subprocess
import sys
import unittest

from harness import Case

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tools" / "phone_nano")]

import data  # noqa: E402
import make_examples  # noqa: E402
from language import SYSTEM  # noqa: E402
from tokenizer import Vocabulary  # noqa: E402

MODEL = ROOT / "examples" / "models" / "phone-nano.gguf"
LOGITS = os.path.join(os.environ["INFERQ_BIN"], "inferq-gguf-logits")
ON_MODEL = ("--model", MODEL, "--threads", 1, "--concurrency", 8)


class ExactMatch(Case):
    def share(self, name, *options):
        """The share of an evaluation file's lines that are answered with exactly what they expect, and then end."""
        done = self.run_inferq("run", ROOT / "examples" / "phone-nano" / name, "-o", "out.csv", "--format", "csv",
                               "--template", "{{instruction}}", "--max-tokens", 64, "--temperature", 0,
                               *ON_MODEL, *options)
        self.assert_exit(done, 0)
        with open(self.path("out.csv"), newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual(len(rows), data.EVALUATION_LINES)
        wrong = [row for row in rows if row["output"] != row["expected"] or row["finish_reason"] != "stop"]
        for row in wrong:
            print(f"{row['id']}: {row['instruction']} -> {row['output']} instead of {row['expected']}")
        share = 1 - len(wrong) / len(rows)
        print(f"{name} {' '.join(options)}: {share:.1%}")
        return share

    def test_phrasings_and_fillers_of_training_that_never_came_together(self):
        self.assertGreaterEqual(self.share("unseen_combinations.jsonl"), 0.98)

    def test_phrasings_and_fillers_that_training_never_saw(self):
        self.assertGreaterEqual(self.share("unseen.jsonl"), 0.90)

    def test_with_a_system_message(self):
        self.assertGreaterEqual(self.share("unseen_combinations.jsonl", "--system", SYSTEM["en"]), 0.98)

    def test_the_examples_are_answered_right(self):
        done = self.run_inferq("run", ROOT / "examples" / "phone_steps.jsonl", "-o", "out.jsonl", *ON_MODEL)
        self.assert_exit(done, 0)
        answers = {line["custom_id"]: line["response"]["body"]["choices"][0]["message"]["content"]
                   for line in self.lines("out.jsonl")}
        self.assertEqual(answers, make_examples.answers())


class Tokens(unittest.TestCase):
    def test_training_cuts_text_as_libllama_does(self):
        vocabulary = Vocabulary(data.language_words(), data.MERGES)
        examples = data.training_examples(0, 1000) + data.unseen()
        texts = [data.prompt(e.instruction, SYSTEM[e.language]) + e.answer + "<|user|>" for e in examples]
        done = subprocess.run([LOGITS, MODEL, "--tokens"], input="\n".join(map(json.dumps, texts)).encode(),
                              capture_output=True, check=True)
        lines = done.stdout.decode().splitlines()
        self.assertEqual(len(lines), len(texts))
        for text, line in zip(texts, lines):
            self.assertEqual(vocabulary.encode(text), json.loads(line)["tokens"], text)


if __name__ == "__main__":
    unittest.main()
