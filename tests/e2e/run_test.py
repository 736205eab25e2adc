"""`inferq run` on the fake engine: formats, results, errors, resumption, exit codes."""

import csv
import json
import os
import signal
import stat
import unittest

from harness import Case, batch_file, batch_line, wait_for

FAKE = ("--engine", "fake", "--ttft", "1ms", "--itl", "100us")


class Inputs(Case):
    def test_batch_lines_become_openai_output_lines(self):
        self.write("in.jsonl", batch_file(5, max_tokens=3))
        done = self.run_inferq("run", "in.jsonl", "-o", "out.jsonl", *FAKE)
        self.assert_exit(done, 0)
        self.assert_each_once([f"id-{i}" for i in range(5)], "out.jsonl")
        line = self.lines("out.jsonl")[0]
        self.assertEqual(line["response"]["status_code"], 200)
        self.assertIsNone(line["error"])
        body = line["response"]["body"]
        self.assertEqual(body["object"], "chat.completion")
        self.assertEqual(body["choices"][0]["message"]["role"], "assistant")
        self.assertIn(body["choices"][0]["finish_reason"], ("stop", "length"))
        self.assertGreater(body["usage"]["completion_tokens"], 0)
        self.assertFalse(self.path("out.errors.jsonl").exists())
        summary = done.stderr.decode()
        self.assertIn("5 of 5 lines succeeded", summary)
        self.assertIn("results: out.jsonl", summary)

    def test_csv_with_template_and_csv_output(self):
        self.write("in.csv", 'id,text\n7,"good, really"\n8,坏\n')
        done = self.run_inferq("run", "in.csv", "-o", "out.csv", "--format", "csv", "--template",
                               "Classify: {{text}}", "--max-tokens", 4, *FAKE)
        self.assert_exit(done, 0)
        with open(self.path("out.csv"), newline="", encoding="utf-8") as file:
            rows = {row["id"]: row for row in csv.DictReader(file)}
        self.assertEqual(rows["7"]["text"], "good, really")
        self.assertEqual(rows["8"]["text"], "坏")
        self.assertTrue(rows["8"]["output"])
        self.assertIn(rows["8"]["finish_reason"], ("stop", "length"))
        self.assertGreater(int(rows["8"]["completion_tokens"]), 0)

    def test_csv_output_names_rows_that_have_no_id(self):
        self.write("in.csv", "text\na\nb\n")
        self.assert_exit(self.run_inferq("run", "in.csv", "-o", "out.csv", "--format", "csv", *FAKE), 0)
        with open(self.path("out.csv"), newline="", encoding="utf-8") as file:
            self.assertEqual({row["custom_id"] for row in csv.DictReader(file)}, {"row-1", "row-2"})

    def test_json_array_and_strings(self):
        self.write("in.json", json.dumps([{"id": "a", "text": "x"}, {"id": "b", "text": "y"}]))
        self.assert_exit(self.run_inferq("run", "in.json", "-o", "a.jsonl", *FAKE), 0)
        self.assert_each_once(["a", "b"], "a.jsonl")
        self.write("in.jsonl", '"first"\n"second"\n')
        self.assert_exit(self.run_inferq("run", "in.jsonl", "-o", "b.jsonl", *FAKE), 0)
        self.assert_each_once(["row-1", "row-2"], "b.jsonl")

    def test_a_pretty_printed_json_array_of_batch_lines(self):
        lines = [json.loads(batch_line(f"id-{i}", "x")) for i in range(3)]
        self.write("in.json", json.dumps(lines, indent=2))
        self.assert_exit(self.run_inferq("run", "in.json", "-o", "out.jsonl", *FAKE), 0)
        self.assert_each_once(["id-0", "id-1", "id-2"], "out.jsonl")

    def test_standard_input(self):
        done = self.run_inferq("run", "-", "-o", "out.jsonl", *FAKE, stdin=batch_file(3).encode())
        self.assert_exit(done, 0)
        self.assert_each_once(["id-0", "id-1", "id-2"], "out.jsonl")

    def test_a_line_may_end_without_a_newline_and_begin_with_a_bom(self):
        self.write("in.jsonl", b"\xef\xbb\xbf" + batch_file(2).encode().rstrip(b"\n"))
        self.assert_exit(self.run_inferq("run", "in.jsonl", "-o", "out.jsonl", *FAKE), 0)
        self.assert_each_once(["id-0", "id-1"], "out.jsonl")


class BadInput(Case):
    def setUp(self):
        super().setUp()
        self.write("in.jsonl", "\n".join([
            batch_line("a", "x"), "{broken", batch_line("a", "again"),
            '{"custom_id":"c","method":"POST","url":"/v1/chat/completions","body":{"model":"m"}}',
            batch_line("d", "x")]) + "\n")

    def test_stop_names_every_bad_line_and_runs_nothing(self):
        done = self.run_inferq("run", "in.jsonl", "-o", "out.jsonl", *FAKE)
        self.assert_exit(done, 2)
        text = done.stderr.decode()
        for number in (2, 3, 4):
            self.assertIn(f"line {number}: ", text)
        self.assertIn("Messages parameter is required", text)
        self.assertFalse(self.path("out.jsonl").exists())
        self.assertFalse(self.path("out.jsonl.inferq").exists())

    def test_continue_runs_the_others_and_keeps_the_bad_in_the_errors(self):
        done = self.run_inferq("run", "in.jsonl", "-o", "out.jsonl", "--on-error", "continue", *FAKE)
        self.assert_exit(done, 1)
        self.assert_each_once(["a", "d"], "out.jsonl")
        errors = {line["custom_id"]: line for line in self.lines("out.errors.jsonl")}
        self.assertEqual(set(errors), {"line-2", "line-3", "c"})
        self.assertEqual(errors["line-2"]["error"]["code"], "invalid_json_line")
        self.assertIsNone(errors["line-2"]["response"])

    def test_an_unknown_template_column_is_named_with_the_known_ones(self):
        self.write("in.csv", "id,text\n1,x\n")
        done = self.run_inferq("run", "in.csv", "-o", "o", "--template", "{{tekst}}", *FAKE)
        self.assert_exit(done, 2)
        self.assertIn("tekst", done.stderr.decode())
        self.assertIn("text", done.stderr.decode())

    def test_a_missing_input_file_is_named(self):
        done = self.run_inferq("run", "none.jsonl", "-o", "o", *FAKE)
        self.assert_exit(done, 2)
        self.assertIn("none.jsonl", done.stderr.decode())
        self.assertFalse(self.path("o.inferq").exists())

    def test_an_empty_input_is_refused(self):
        self.write("empty.jsonl", "")
        done = self.run_inferq("run", "empty.jsonl", "-o", "o", *FAKE)
        self.assert_exit(done, 2)

    def test_usage_errors(self):
        for arguments in (("run",), ("run", "in.jsonl"), ("run", "in.jsonl", "-o", "o"), ("nonsense",), (),
                          ("run", "in.jsonl", "-o", "o", *FAKE, "--temperature", "9"),
                          ("run", "in.jsonl", "-o", "o", *FAKE, "--backend", "http://x"),
                          ("run", "in.jsonl", "-o", "o", "--engine", "fake", "--ttft", "soon"),
                          ("run", "in.jsonl", "-o", "o", "--backend", "not a url")):
            done = self.run_inferq(*arguments)
            self.assertEqual(done.returncode, 2, arguments)
            self.assertTrue(done.stderr.strip(), arguments)
            self.assertNotIn("terminate called", done.stderr.decode())

    def test_the_input_is_never_overwritten(self):
        before = self.path("in.jsonl").read_bytes()
        os.symlink("in.jsonl", self.path("link.jsonl"))
        self.write("in.errors.jsonl", batch_line("a", "x") + "\n")
        for arguments in (("in.jsonl", "-o", "in.jsonl"), ("link.jsonl", "-o", "./in.jsonl"),
                          ("in.errors.jsonl", "-o", "in.csv")):
            done = self.run_inferq("run", *arguments, *FAKE, "--restart")
            self.assert_exit(done, 2)
            self.assertIn("would replace the input", done.stderr.decode())
        self.assertEqual(self.path("in.jsonl").read_bytes(), before)

    def test_a_missing_model_is_named(self):
        done = self.run_inferq("run", "in.jsonl", "-o", "o", "--model", "none.gguf", "--on-error", "continue")
        self.assert_exit(done, 3)
        self.assertIn("none.gguf", done.stderr.decode())

    def test_an_unreachable_backend_is_named(self):
        done = self.run_inferq("run", "in.jsonl", "-o", "o", "--backend", "http://127.0.0.1:9/v1",
                               "--model", "m", "--on-error", "continue")
        self.assert_exit(done, 3)
        self.assertIn("127.0.0.1:9", done.stderr.decode())

    def test_an_unwritable_output_is_a_storage_failure(self):
        done = self.run_inferq("run", "in.jsonl", "-o", "no/such/folder/o", *FAKE)
        self.assert_exit(done, 4)
        self.assertIn("no/such/folder", done.stderr.decode())


class Resuming(Case):
    ARGUMENTS = ("run", "in.jsonl", "-o", "out.jsonl", "--engine", "fake", "--ttft", "20ms", "--itl", "5ms",
                 "--concurrency", 4)

    def setUp(self):
        super().setUp()
        self.write("in.jsonl", batch_file(400, max_tokens=4))
        self.ids = [f"id-{i}" for i in range(400)]

    def interrupt(self, number):
        process = self.start_inferq(*self.ARGUMENTS)
        self.assertTrue(wait_for(lambda: self.path("out.jsonl").exists()
                                 and self.path("out.jsonl").stat().st_size > 0))
        process.send_signal(number)
        _, stderr = process.communicate(timeout=60)
        return process.returncode, stderr.decode()

    def test_interrupted_by_ctrl_c_the_same_command_goes_on(self):
        code, stderr = self.interrupt(signal.SIGINT)
        self.assertEqual(code, 130, stderr)
        self.assertIn("same command goes on", stderr)
        before = self.path("out.jsonl").read_bytes()
        self.assert_exit(self.run_inferq(*self.ARGUMENTS), 0)
        self.assert_each_once(self.ids, "out.jsonl")
        self.assertTrue(self.path("out.jsonl").read_bytes().startswith(before))

    def test_terminated_it_drains_too(self):
        code, stderr = self.interrupt(signal.SIGTERM)
        self.assertEqual(code, 130, stderr)

    def test_a_torn_last_line_is_repaired(self):
        self.interrupt(signal.SIGKILL)
        text = self.path("out.jsonl").read_bytes()
        self.path("out.jsonl").write_bytes(text[: len(text) - 20])
        self.assert_exit(self.run_inferq(*self.ARGUMENTS), 0)
        self.assert_each_once(self.ids, "out.jsonl")

    def test_a_lost_output_file_is_written_again(self):
        self.assert_exit(self.run_inferq(*self.ARGUMENTS), 0)
        before = self.path("out.jsonl").read_bytes()
        self.path("out.jsonl").unlink()
        self.assert_exit(self.run_inferq(*self.ARGUMENTS), 0)
        self.assertEqual(self.path("out.jsonl").read_bytes(), before)

    def test_other_options_or_input_are_refused_unless_restart(self):
        self.interrupt(signal.SIGKILL)
        done = self.run_inferq(*self.ARGUMENTS, "--max-tokens", 9)
        self.assert_exit(done, 2)
        self.assertIn("--max-tokens", done.stderr.decode())
        self.write("in.jsonl", batch_file(10, max_tokens=4))
        done = self.run_inferq(*self.ARGUMENTS)
        self.assert_exit(done, 2)
        self.assertIn("input", done.stderr.decode())
        self.assertIn("--restart", done.stderr.decode())
        self.assert_exit(self.run_inferq(*self.ARGUMENTS, "--restart"), 0)
        self.assert_each_once([f"id-{i}" for i in range(10)], "out.jsonl")

    def test_a_foreign_output_file_is_not_overwritten(self):
        self.write("out.jsonl", "precious\n")
        done = self.run_inferq(*self.ARGUMENTS)
        self.assert_exit(done, 2)
        self.assertEqual(self.path("out.jsonl").read_text(), "precious\n")

    def test_two_at_once_are_kept_apart(self):
        first = self.start_inferq(*self.ARGUMENTS)
        self.assertTrue(wait_for(lambda: self.path("out.jsonl").exists()))
        second = self.run_inferq(*self.ARGUMENTS)
        self.assert_exit(second, 4)
        self.assertIn("another", second.stderr.decode())
        self.assertEqual(first.wait(timeout=60), 0)
        self.assert_each_once(self.ids, "out.jsonl")

    def test_standard_input_is_kept_for_going_on(self):
        arguments = ("run", "-", "-o", "out.jsonl", *FAKE)
        lines = batch_file(3).encode()
        self.assert_exit(self.run_inferq(*arguments, stdin=lines), 0)
        self.assert_exit(self.run_inferq(*arguments, stdin=lines), 0)
        self.assert_exit(self.run_inferq(*arguments, stdin=b""), 0)
        self.assert_exit(self.run_inferq(*arguments, stdin=lines + lines), 2)

    def test_the_store_is_private(self):
        self.assert_exit(self.run_inferq(*self.ARGUMENTS), 0)
        mode = stat.S_IMODE(os.stat(self.path("out.jsonl.inferq")).st_mode)
        self.assertEqual(mode, 0o700)

    def test_the_output_has_the_rights_that_the_user_gives_new_files(self):
        self.assert_exit(self.run_inferq(*self.ARGUMENTS), 0)
        self.path("other").write_text("")
        self.assertEqual(stat.S_IMODE(os.stat(self.path("out.jsonl")).st_mode),
                         stat.S_IMODE(os.stat(self.path("other")).st_mode))


class FullDisk(Case):
    def test_nothing_is_lost_when_there_is_no_room(self):
        self.write("in.jsonl", batch_file(2000, max_tokens=4))
        arguments = ("run", "in.jsonl", "-o", "out.jsonl", *FAKE)
        for limit in (1_000, 200_000, 700_000):  # while reading, in the journal, in the results
            done = self.run_inferq(*arguments, file_limit=limit)
            self.assert_exit(done, 4)
            self.assertIn("inferq run: ", done.stderr.decode())
        self.assert_exit(self.run_inferq(*arguments), 0)
        self.assert_each_once([f"id-{i}" for i in range(2000)], "out.jsonl")


class Failing(Case):
    def test_failed_lines_stay_failed_until_asked_to_run_again(self):
        self.write("in.jsonl", batch_file(50, max_tokens=1))
        base = ("run", "in.jsonl", "-o", "out.jsonl", *FAKE, "--max-attempts", 1)
        done = self.run_inferq(*base, "--fail-rate", "0.5", "--seed", 1)
        self.assert_exit(done, 1)
        failed = len(self.lines("out.errors.jsonl"))
        self.assertGreater(failed, 0)
        self.assertGreaterEqual(self.lines("out.errors.jsonl")[0]["response"]["status_code"], 500)
        self.assert_each_once([f"id-{i}" for i in range(50)], "out.jsonl", "out.errors.jsonl")
        done = self.run_inferq(*base, "--seed", 1)
        self.assert_exit(done, 1)
        self.assertEqual(len(self.lines("out.errors.jsonl")), failed)
        done = self.run_inferq(*base, "--seed", 1, "--retry-failed")
        self.assert_exit(done, 0)
        self.assert_each_once([f"id-{i}" for i in range(50)], "out.jsonl")
        self.assertFalse(self.path("out.errors.jsonl").exists())

    def test_failures_that_pass_are_tried_again(self):
        self.write("in.jsonl", batch_file(50, max_tokens=1))
        done = self.run_inferq("run", "in.jsonl", "-o", "out.jsonl", *FAKE, "--fail-rate", "0.2",
                               "--max-attempts", 20)
        self.assert_exit(done, 0)
        self.assert_each_once([f"id-{i}" for i in range(50)], "out.jsonl")

    def test_a_bad_request_fails_alone_with_a_400_that_names_the_field(self):
        self.write("in.jsonl", batch_line("good", "x") + "\n" + batch_line("bad", "x", temperature=9) + "\n")
        done = self.run_inferq("run", "in.jsonl", "-o", "out.jsonl", *FAKE)
        self.assert_exit(done, 1)
        self.assert_each_once(["good"], "out.jsonl")
        error = self.lines("out.errors.jsonl")[0]
        self.assertEqual(error["response"]["status_code"], 400)
        self.assertIn("temperature", error["response"]["body"]["error"]["param"])


class Shown(Case):
    def test_progress_as_json_lines(self):
        self.write("in.jsonl", batch_file(20, max_tokens=2))
        done = self.run_inferq("run", "in.jsonl", "-o", "out.jsonl", *FAKE, "--json-progress")
        self.assert_exit(done, 0)
        events = [json.loads(line) for line in done.stderr.splitlines()]
        self.assertEqual(events[-1]["event"], "summary")
        self.assertEqual(events[-1]["succeeded"], 20)
        self.assertTrue(all(event["event"] == "progress" for event in events[:-1]))

    def test_quiet_says_nothing_when_all_is_well(self):
        self.write("in.jsonl", batch_file(3))
        done = self.run_inferq("run", "in.jsonl", "-o", "out.jsonl", *FAKE, "--quiet")
        self.assert_exit(done, 0)
        self.assertEqual(done.stderr, b"")
        self.assertEqual(done.stdout, b"")

    def test_quiet_still_tells_of_failures(self):
        self.write("in.jsonl", batch_line("bad", "x", temperature=9) + "\n")
        done = self.run_inferq("run", "in.jsonl", "-o", "out.jsonl", *FAKE, "--quiet")
        self.assert_exit(done, 1)
        self.assertIn("out.errors.jsonl", done.stderr.decode())

    def test_help_teaches(self):
        for arguments in (("--help",), ("run", "--help")):
            done = self.run_inferq(*arguments)
            self.assert_exit(done, 0)
            self.assertIn("inferq run", done.stdout.decode())
        self.assertIn("Exit codes", self.run_inferq("run", "--help").stdout.decode())
        self.assertIn("inferq 0.", self.run_inferq("--version").stdout.decode())


if __name__ == "__main__":
    unittest.main()
