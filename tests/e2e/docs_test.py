"""The commands in the documents do what is shown there.

Every block of kind `console` is run, page by page, in one shell against a fresh server. A line that begins with "$ " is a
command, which goes on while a quote is open or a line ends in a backslash; what follows is its answer. In an answer "…"
stands for anything; in a command for the rest of what was last shown behind the same beginning: `batch_…`, `"fence":"…`.
Line breaks inside an answer are for the reader.
"""

import os
import pathlib
import re
import signal
import subprocess
import threading
import unittest

from serve_harness import ServeCase

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("README*.md"), *(ROOT / "docs").rglob("*.md")])
ADDRESS = "127.0.0.1:8080"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
ELIDED = re.compile(r'((?:"\w+":")?)((?:file-|batch_|task_|upload_|resp_)?)…')
MODELS = ("pretend", "glm-4-9b")  # a page has those that it names
MODEL = '[[model]]\nname = "{}"\nfake = true\nttft = "1ms"\nitl = "0ms"\n'
END = "--end-of-command--"
LONGEST_COMMAND = 60  # seconds


def steps_of(text):
    """(command, expected answer) of each command in a block."""
    steps, open_command = [], False
    for line in text.splitlines():
        if open_command or line.startswith("$ "):
            if not open_command:
                steps.append(["", ""])
            steps[-1][0] += line.removeprefix("$ ") + "\n" if not open_command else line + "\n"
            open_command = line.endswith("\\") or steps[-1][0].count("'") % 2 == 1
        elif steps:
            steps[-1][1] += line + "\n"
        elif line:
            raise AssertionError(f"a console block begins with no command: {line}")
    return [tuple(step) for step in steps]


def on_one_line(text):
    return "".join(line.strip() for line in text.splitlines())


def fits(expected, actual):
    pattern = ".*?".join(map(re.escape, on_one_line(expected).split("…")))
    return re.fullmatch(pattern, on_one_line(actual), re.DOTALL) is not None


def filled_in(command, shown):
    """The command with what was shown in place of each "…"."""
    def last(match):
        beginning = match.group(2) or match.group(1)
        found = re.findall(re.escape(beginning) + r"([\w-]+)", shown) if beginning else []
        if not found:
            raise AssertionError(f"nothing that was shown tells what … stands for: {command}")
        return match.group().replace("…", found[-1])
    return ELIDED.sub(last, command)


class Shell:
    """One bash for all commands of a page."""

    def __init__(self, directory):
        self.process = subprocess.Popen(["bash"], cwd=directory, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True, start_new_session=True)

    def run(self, command):
        """Standard output and exit code. A command that takes too long ends the shell."""
        watchdog = threading.Timer(LONGEST_COMMAND, os.killpg, (self.process.pid, signal.SIGKILL))
        watchdog.start()
        try:
            return self._run(command)
        finally:
            watchdog.cancel()

    def _run(self, command):
        self.process.stdin.write(f"{command}\necho; echo {END} $?\n")
        self.process.stdin.flush()
        lines = []
        while not (line := self.process.stdout.readline()).startswith(END):
            if not line:
                raise AssertionError(f"the shell ended at: {command}")
            lines.append(line)
        return "".join(lines)[:-1], int(line.split()[1])

    def close(self):
        self.process.communicate()


class Documents(ServeCase):
    def run_page(self, page, text):
        server = self.start_server("--data", f"data-{page.stem}", config="".join(
            MODEL.format(name) for name in MODELS if name in text))
        shell = Shell(self.dir)
        self.addCleanup(shell.close)
        real, shown = f"{server.host}:{server.port}", ""
        for kind, block in BLOCK.findall(text):
            for command, expected in steps_of(block) if kind == "console" else []:
                answer, code = shell.run(filled_in(command, shown).replace(ADDRESS, real))
                shown += answer
                self.assertEqual(code, 0, f"{page.name}: {command}{answer}")
                self.assertTrue(fits(expected, answer.replace(real, ADDRESS)),
                                f"{page.name}: {command}\nshould answer\n{expected}\nand answers\n{answer}")

    def test_commands_do_what_is_shown(self):
        ran = 0
        for page in PAGES:
            text = page.read_text(encoding="utf-8")
            if "\n```console\n" not in text:
                continue
            with self.subTest(page=str(page.relative_to(ROOT))):
                self.run_page(page, text)
                ran += 1
        self.assertGreater(ran, 0)

    def test_every_curl_is_run(self):
        for page in PAGES:
            for kind, block in BLOCK.findall(page.read_text(encoding="utf-8")):
                if kind != "console":
                    self.assertNotRegex(block, r"(?m)^\s*curl ", f"{page.name}: make it a console block, so that it is tested")


class Rules(unittest.TestCase):
    def test_steps(self):
        self.assertEqual(steps_of("$ a\nx\ny\n$ b 'c\n d'\n$ e \\\n f\nz\n"),
                         [("a\n", "x\ny\n"), ("b 'c\n d'\n", ""), ("e \\\n f\n", "z\n")])
        with self.assertRaises(AssertionError):
            steps_of("x\n$ a\n")

    def test_answers(self):
        self.assertTrue(fits('{"id":"…",\n  "n":1}\n', '{"id":"7","n":1}'))
        self.assertFalse(fits('{"id":"…","n":1}', '{"id":"7","n":2}'))
        self.assertFalse(fits('{"n":1}', '{"n":1,"m":2}'))
        self.assertFalse(fits("", "x"))

    def test_what_was_shown_is_used(self):
        shown = '{"id":"batch_1","fence":"17"} {"id":"batch_2"}'
        self.assertEqual(filled_in('x/batch_…/y "fence":"…" "of":"batch_…"', shown),
                         'x/batch_2/y "fence":"17" "of":"batch_2"')
        with self.assertRaises(AssertionError):
            filled_in("file-…", shown)


if __name__ == "__main__":
    unittest.main()
