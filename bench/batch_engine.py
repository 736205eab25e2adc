#!/usr/bin/env python3
"""What the embedded engine does for batches, in pairs, as a Markdown table.

    make build && bench/batch_engine.py                     # writes bench/results/batch_engine.md
    bench/batch_engine.py --only varied,interactive --pairs 1

Every row is a number of pairs of runs of inferq-bench-batch, one after the other: with what the row is about, and
without it. Ratios of pairs survive a noisy machine; the seconds do not.
"""

import argparse
import json
import os
import pathlib
import platform
import shlex
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=pathlib.Path, default=ROOT / "build/release/bin", help="where the programs are")
    parser.add_argument("--type", default="f16", help="weights of the model of 150 million parameters: f16 or q8_0")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--pairs", type=int, default=2)
    parser.add_argument("--only", default="", help="rows to run, comma-separated: " + ", ".join(ROWS))
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "bench/results/batch_engine.md")
    return parser.parse_args()


def run(command, capture=True):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"batch_engine.py: {shlex.join(map(str, command))}: {done.returncode}: {done.stderr.strip()[-1500:]}")
    return done.stdout


def model(args, preset, weights):
    path = ROOT / f"models/bench-{preset}-{weights}.gguf"
    if not path.exists():
        run([args.bin / "inferq-make-gguf", "--preset", preset, "--type", weights, "--out", path])
    return path


def batch(args, path, flags):
    command = [args.bin / "inferq-bench-batch", "--model", path, "--threads", str(args.threads), *shlex.split(flags)]
    print(f"  {time.strftime('%H:%M:%S')} {flags}", file=sys.stderr, flush=True)
    return json.loads(run(command))


def pairs(args, path, with_it, without_it):
    """Runs pairs; [(with, without)], in turn first the one and the other."""
    found = []
    for i in range(args.pairs):
        if i % 2 == 0:
            a = batch(args, path, with_it)
            b = batch(args, path, without_it)
        else:
            b = batch(args, path, without_it)
            a = batch(args, path, with_it)
        found.append((a, b))
    return found


def seen(values, digits=2):
    values = sorted(values)
    median = statistics.median(values)
    return f"**{median:.{digits}f}** ({values[0]:.{digits}f} to {values[-1]:.{digits}f})"


def part(a):
    return f"{a['computed'] / a['distinct']:.3f}"


def prefix(args, path):
    flags = "--requests 64 --slots 64 --prefix-tokens 512 --own-tokens 32 --output-tokens 16 --context 576"
    got = pairs(args, path, flags, flags + " --cache separate")
    lines = [f"64 requests share 512 tokens, 32 own, 16 out: {statistics.median(a['seconds'] for a, b in got):.1f} s against "
             f"{statistics.median(b['seconds'] for a, b in got):.1f} s without sharing, ratio "
             f"{seen(b['seconds'] / a['seconds'] for a, b in got)}; prompt tokens computed ÷ optimum {part(got[0][0])} "
             f"(without sharing {part(got[0][1])})"]
    for name, more in (("two levels: 4 groups of 16, 256 + 256 tokens shared, shuffled",
                        "--requests 64 --slots 64 --prefix-tokens 256 --branches 4 --branch-tokens 256"),
                       ("the same with 16 slots", "--requests 64 --slots 16 --prefix-tokens 256 --branches 4 --branch-tokens 256"),
                       ("512 requests, 64 slots, 512 tokens shared", "--requests 512 --slots 64 --prefix-tokens 512"),
                       ("512 requests, 64 slots, 16 groups of 256 + 256 tokens, shuffled",
                        "--requests 512 --slots 64 --prefix-tokens 256 --branches 16 --branch-tokens 256")):
        a = batch(args, path, more + " --own-tokens 32 --output-tokens 16 --context 576")
        lines.append(f"{name}: {a['seconds']:.1f} s, computed ÷ optimum **{part(a)}** "
                     f"({a['computed']:,} of {a['computed'] + a['shared']:,} prompt tokens)")
    return lines


def varied(args, path):
    flags = "--requests 192 --slots 64 --own-tokens 32 --output-tokens 512 --output-mean 64 --context 560"
    got = pairs(args, path, flags, flags + " --waves")
    return [f"192 answers of geometric length, mean 64, cap 512, 64 slots: "
            f"{statistics.median(a['tokens_per_s'] for a, b in got):.0f} tok/s against "
            f"{statistics.median(b['tokens_per_s'] for a, b in got):.0f} in waves (static batching), ratio "
            f"{seen(a['tokens_per_s'] / b['tokens_per_s'] for a, b in got)}"]


def interactive(args, path):
    slots = "--slots 32 --context 384 --probe-tokens 32"
    idle = batch(args, path, f"{slots} --requests 0 --probes 60")
    load = f"{slots} --requests 128 --own-tokens 64 --output-tokens 96 --probes 400"
    got = pairs(args, path, load, load + " --probes-interactive 0")
    alone = batch(args, path, f"{slots} --requests 128 --own-tokens 64 --output-tokens 96")
    with_it, without = [a for a, b in got], [b for a, b in got]
    step = statistics.median(a["seconds"] / a["steps"] for a in with_it)
    bound = 3 * idle["first_token_p99"] + step

    def ms(key, runs):
        return f"{1e3 * statistics.median(r[key] for r in runs):.0f} ms"
    return [f"time to first token of a prompt of 32 tokens, idle: p50 {ms('first_token_p50', [idle])}, p99 "
            f"{ms('first_token_p99', [idle])}",
            f"under a full batch (32 slots), interactive: p50 {ms('first_token_p50', with_it)}, p99 "
            f"**{ms('first_token_p99', with_it)}** ({sum(a['probes'] for a in with_it)} asked); 3 × idle p99 plus a mean step "
            f"({1e3 * step:.0f} ms): {1e3 * bound:.0f} ms",
            f"under a full batch, without the engine knowing: p50 {ms('first_token_p50', without)}, p99 "
            f"{ms('first_token_p99', without)}",
            f"what the batch pays: {statistics.median(a['tokens_per_s'] for a in with_it):.0f} tok/s with interactive requests "
            f"all the time, {alone['tokens_per_s']:.0f} without any ({statistics.median(a['tokens_per_s'] for a in with_it) / alone['tokens_per_s']:.2f})"]


def memory(args, path):
    tight = batch(args, path, "--requests 128 --slots 64 --own-tokens 64 --output-tokens 256 --output-mean 64 "
                              "--kv-tokens 6144 --context 384")
    tiny = model(args, "tiny", "f16")
    flat = batch(args, tiny, "--requests 10000 --slots 32 --prefix-tokens 64 --own-tokens 24 --output-tokens 8 --context 128")
    return [f"KV cells used at most ÷ allocated, 64 slots over 6,144 cells: "
            f"**{tight['kv_most'] / tight['kv_cells']:.2f}**, mean {tight['kv_mean'] / tight['kv_cells']:.2f}; "
            f"{tight['pauses']} pauses, {tight['failed']} failures",
            f"memory of the engine process over 10,000 prompts (a tiny model): {flat['rss_tenth_kib'] / 1024:.1f} MiB after a "
            f"tenth, {flat['rss_end_kib'] / 1024:.1f} MiB at the end; computed ÷ optimum {part(flat)}"]


ROWS = {"prefix": prefix, "varied": varied, "interactive": interactive, "memory": memory}


def cpu_model():
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def main():
    args = parse_arguments()
    path = model(args, "150m", args.type)
    load = os.getloadavg()[0]
    lines = ["# The embedded engine with batches", "",
             f"- Machine: {cpu_model()}, {os.cpu_count()} cores; load average before the run {load:.1f}",
             f"- {time.strftime('%Y-%m-%d')}; random model of 150 million parameters, {args.type}; {args.threads} threads; "
             f"{args.pairs} pairs, medians and ranges",
             f"- Command: `bench/batch_engine.py {shlex.join(sys.argv[1:])}`", ""]
    for name in args.only.split(",") if args.only else ROWS:
        lines += [f"## {name}", ""] + [f"- {line}" for line in ROWS[name](args, path)] + [""]
        args.out.write_text("\n".join(lines))
    print(args.out.read_text())


if __name__ == "__main__":
    main()
