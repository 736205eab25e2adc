"""`inferq bench` on the real binary: what it reports adds up, and it leaves nothing behind."""

import json
import os
import signal
import subprocess
import unittest

from harness import INFERQ, children_of, wait_for
from serve_harness import FAKE, ServeCase

ALWAYS = ("bench", "errors", "interrupted", "command", "version", "cores", "kernel", "file_system",
          "load_average_before", "load_average_after", "fdatasync_per_s_before", "fdatasync_per_s_after")
OWN_SERVER = ("server_resident_bytes", "server_peak_bytes")
LOAD = ("load_seconds", "load_generator_user_s", "load_generator_system_s")
PERCENTILES = {"count", "p50", "p90", "p95", "p99", "p99_9", "max"}


class Bench(ServeCase):
    def bench(self, *arguments, code=0):
        """The report of `inferq bench … --json`."""
        done = self.run_inferq("bench", *arguments, "--json", env={"TMPDIR": str(self.dir)})
        self.assert_exit(done, code)
        lines = done.stdout.decode().splitlines()
        self.assertEqual(len(lines), 1, "the report is one line")
        report = json.loads(lines[-1])
        self.assertEqual(report["bench"], arguments[0])
        return report

    def assert_fields(self, report, *names):
        for name in (*ALWAYS, *names):
            self.assertIn(name, report)
        for name, value in report.items():
            if name.endswith("_ms"):
                self.assertEqual(set(value), PERCENTILES, name)
                self.assertLessEqual(value["p50"], value["p99"], name)
                self.assertLessEqual(value["p99"], value["max"], name)

    def assert_nothing_left(self):
        self.assertEqual([path.name for path in self.dir.glob("inferq-bench-*")], [])

    def test_queue_completes_what_it_submits(self):
        report = self.bench("queue", "--seconds", 1, "--clients", 2, "--chunk", 20)
        self.assert_fields(report, *OWN_SERVER, *LOAD, "tasks_per_s", "submit_ms", "claim_ms",
                           "complete_and_claim_ms", "acknowledged_to_claimed_ms", "acknowledged_to_completed_ms")
        self.assertGreater(report["submitted"], 0)
        self.assertEqual(report["submitted"], report["completed"])
        self.assertEqual(report["submitted"], report["submit_ms"]["count"] * 20)
        self.assertEqual(report["acknowledged_to_completed_ms"]["count"], report["completed"])
        self.assertEqual(report["errors"], 0)
        self.assert_nothing_left()

    def test_keys_are_new_ones(self):
        report = self.bench("queue", "--seconds", 0.3, "--clients", 1, "--chunk", 5, "--idempotency")
        self.assertTrue(report["idempotency_keys"])
        self.assertGreater(report["submitted"], 0)
        self.assertEqual(report["submitted"], report["completed"])

    def test_submit_at_a_rate_sends_no_more_than_that(self):
        report = self.bench("submit", "--seconds", 1, "--clients", 4, "--rate", 50)
        self.assert_fields(report, *OWN_SERVER, *LOAD, "submissions_per_s", "submit_ms")
        self.assertLessEqual(report["submitted"], 50)
        self.assertGreater(report["submitted"], 0)
        self.assertEqual(report["submit_ms"]["count"], report["submitted"])

    def test_pickup_finds_its_own_rate(self):
        report = self.bench("pickup", "--seconds", 1, "--clients", 4)
        self.assert_fields(report, *OWN_SERVER, *LOAD, "full_load_per_s", "picked_up_per_s",
                           "acknowledged_to_claimed_ms", "meant_to_claimed_ms")
        self.assertGreater(report["rate"], 0)
        self.assertGreater(report["submitted"], 0)
        self.assertEqual(report["submitted"], report["completed"])
        self.assertEqual(report["acknowledged_to_claimed_ms"]["count"], report["submitted"])

    def test_ingest_accepts_every_line(self):
        report = self.bench("ingest", "--lines", 500)
        self.assert_fields(report, *OWN_SERVER, "lines_per_s", "upload_seconds", "validation_seconds",
                           "server_resident_bytes_before", "server_peak_bytes_validated", "file_bytes")
        self.assertEqual(report["lines"], 500)
        self.assertEqual(report["accepted_lines"], 500)
        self.assertGreater(report["lines_per_s"], 0)
        self.assert_nothing_left()

    def test_restart_claims_after_a_kill(self):
        report = self.bench("restart", "--tasks", 500, "--chunk", 100)
        self.assert_fields(report, *OWN_SERVER, "first_claim_seconds", "listening_seconds", "bytes_per_task_submitted",
                           "bytes_per_task_restarted", "submitted_per_s", "submit_ms")
        self.assertEqual(report["submitted"], 500)
        self.assertGreaterEqual(report["first_claim_seconds"], report["listening_seconds"])
        self.assertGreater(report["listening_seconds"], 0)

    def agents(self, *arguments):
        return self.bench("agents", "--seconds", 3, "--clients", 6, "--speed", 400, "--profile", "E", *arguments)

    def test_agents_lose_the_streams_that_break_off(self):
        report = self.agents("--steps", "recipe", "--fail-rate", 0.1, "--cut-rate", 0.05)
        self.assert_fields(report, *OWN_SERVER, "direct_steps_per_min", "direct_prefix_hit_percent", "direct_step_ms",
                           "direct_probe_ms", "through_steps_per_min", "through_step_ms", "through_probe_ms")
        for side in ("direct", "through"):
            self.assertGreater(report[f"{side}_tasks_completed"], 0)
            self.assertGreater(report[f"{side}_backend_5xx"], 0)
            lost = sum(report[f"{side}_lost_to_{how}"] for how in ("refusals", "cut_answers", "silent_truncation"))
            self.assertEqual(report[f"{side}_tasks_lost"], lost)
            self.assertEqual(report[f"{side}_lost_to_silent_truncation"], 0)
            ended = report[f"{side}_tasks_completed"] + lost
            self.assertAlmostEqual(report[f"{side}_completion_percent"], 100 * report[f"{side}_tasks_completed"] / ended, 2)
        self.assertGreater(report["direct_lost_to_cut_answers"], 0)
        self.assertGreater(report["direct_client_repetitions"], 0)
        self.assertEqual(report["errors"], 0)
        self.assert_nothing_left()

    def test_agents_without_faults_lose_nothing(self):
        for profile in "ABCD":
            report = self.bench("agents", "--seconds", 1, "--clients", 2, "--speed", 400, "--profile", profile,
                                "--steps", "recipe", "--fail-rate", 0, "--cut-rate", 0)
            for side in ("direct", "through"):
                self.assertGreater(report[f"{side}_step_ms"]["count"], 0, profile)
                self.assertEqual(report[f"{side}_tasks_lost"], 0, profile)

    def test_agents_beside_a_batch(self):
        report = self.agents("--side", "through", "--fail-rate", 0, "--cut-rate", 0, "--batch", 20_000)
        self.assertGreater(report["through_tasks_completed"], 0)
        self.assertGreater(report["through_batch_lines_done"], 0)

    def test_agents_at_the_backend_alone_start_no_server(self):
        report = self.agents("--side", "direct", "--fail-rate", 0, "--cut-rate", 0)
        self.assertNotIn("server_resident_bytes", report)
        self.assertNotIn("through_step_ms", report)

    def test_a_given_server_is_left_as_it_was(self):
        server = self.start_server(config=FAKE)
        report = self.bench("submit", "--seconds", 0.3, "--clients", 2, "--server", server.url)
        self.assertGreater(report["submitted"], 0)
        self.assertIsNone(report["fdatasync_per_s_before"], "the disk is not this machine's to judge")
        self.assertNotIn("server_resident_bytes", report)
        queued = server.request("GET", "/v1/tasks?status=queued").json()["data"]
        cancelled = server.request("GET", "/v1/tasks?status=cancelled&limit=1").json()["data"]
        self.assertEqual((queued, len(cancelled)), ([], 1))
        self.bench("ingest", "--lines", 20, "--model", "m", "--server", server.url)
        self.assertIsNone(server.process.poll())

    def test_a_server_that_is_not_there_is_said_so(self):
        done = self.run_inferq("bench", "queue", "--server", "http://127.0.0.1:1/v1", "--seconds", 1)
        self.assert_exit(done, 3)
        self.assertIn(b"check that the server runs", done.stderr)

    def test_refusals_are_counted_and_told(self):
        server = self.start_server(config=FAKE)
        report = self.bench("submit", "--seconds", 0.2, "--clients", 1, "--server",
                            server.url.replace("/v1", "/v0"), code=1)
        self.assertGreater(report["errors"], 0)
        self.assertEqual(report["submitted"], 0)

    def test_ctrl_c_reports_what_was_measured(self):
        process = subprocess.Popen(
            [INFERQ, "bench", "submit", "--seconds", "60", "--clients", "2", "--data", self.dir, "--json"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        self.addCleanup(lambda: process.poll() is None and os.killpg(process.pid, signal.SIGKILL))
        self.assertTrue(wait_for(lambda: children_of(process.pid)))
        server = children_of(process.pid)[0]
        logs = lambda: [p.read_text() for p in self.dir.glob("inferq-bench-*/server.log")]
        self.assertTrue(wait_for(lambda: any("/tasks" in text for text in logs())), "the load does not begin")
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=30)
        self.assertEqual(process.returncode, 130)
        report = json.loads(output.decode().splitlines()[-1])
        self.assertTrue(report["interrupted"])
        self.assertGreater(report["submitted"], 0)
        self.assertLess(report["load_seconds"], 60)
        self.assertFalse(os.path.exists(f"/proc/{server}"), "the server goes on")
        self.assert_nothing_left()

    def test_tables_and_help(self):
        done = self.run_inferq("bench", "submit", "--seconds", 0.2, "--clients", 1, "--markdown",
                               env={"TMPDIR": str(self.dir)})
        self.assert_exit(done, 0)
        self.assertIn(b"| submissions per s | ", done.stdout)
        self.assertIn(b"| latency | count | p50 |", done.stdout)
        for name in ("queue", "submit", "pickup", "ingest", "restart", "agents"):
            text = self.run_inferq("bench", name, "--help").stdout.decode()
            self.assertIn(f"inferq bench {name}", text)


if __name__ == "__main__":
    unittest.main()
