#!/usr/bin/env python3
"""The embedded engine against bare libllama: tokens per second in pairs, as a Markdown table.

    make build && bench/engine.py                      # writes bench/results/engine.md
    bench/engine.py --concurrency 1,16 --pairs 5       # other points, more pairs

A pair is one run of `inferq run` and one of the plain loop with the same model, threads, number of sequences, prompt
length and answer length (`ignore_eos` makes every answer exactly as long). Both count generated tokens over prefill and
decode. What starting `inferq` costs is taken out by running a short and a long job and comparing their differences.
"""

import argparse
import json
import math
import os
import pathlib
import platform
import random
import resource
import shlex
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORDS = "open tap swipe type search menu page text send message photo order food price train ticket".split()


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=pathlib.Path, default=ROOT / "build/release/bin", help="where the programs are")
    parser.add_argument("--model", type=pathlib.Path, help="GGUF file (default: the preset 150m, written once)")
    parser.add_argument("--concurrency", default="1,4,16,64", help="requests at once, comma-separated")
    parser.add_argument("--max-tokens", type=int, default=64, help="tokens per answer")
    parser.add_argument("--prompt-words", type=int, default=24, help="words per prompt")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=2048, help="generated tokens to measure per run, at least")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "bench/results/engine.md")
    parser.add_argument("--plain-only", action="store_true", help="only the plain loop, to compare machines")
    return parser.parse_args()


def fail(message):
    sys.exit(f"engine.py: {message}")


def program(args, name):
    path = args.bin / name
    if not path.exists():
        fail(f"{path} is missing: run make build, or set --bin")
    return str(path)


def run(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        fail(f"{shlex.join(command)} ended with {done.returncode}: {done.stderr.strip()[-2000:]}")
    return done.stdout


def cpu_seconds():
    """Processor time of all programs that ran here so far, their children included."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def default_model(args):
    path = ROOT / "models/bench-150m.gguf"
    if not path.exists():
        run([program(args, "inferq-make-gguf"), "--preset", "150m", "--out", str(path)])
    return path


def write_requests(path, count, args):
    draw = random.Random(count)
    with open(path, "w") as lines:
        for i in range(count):
            prompt = " ".join([f"{i:06}", *draw.choices(WORDS, k=args.prompt_words)])
            body = {"model": "bench", "messages": [{"role": "user", "content": prompt}],
                    "max_tokens": args.max_tokens, "temperature": 0, "ignore_eos": True}
            lines.write(json.dumps({"custom_id": f"{i:06}", "method": "POST", "url": "/v1/chat/completions",
                                    "body": body}) + "\n")


def read_usage(path, count, args):
    """Mean prompt tokens. Stops when an answer is missing or shorter than asked for."""
    with open(path) as lines:
        usage = [json.loads(line)["response"]["body"]["usage"] for line in lines]
    if len(usage) != count:
        fail(f"{path} has {len(usage)} results for {count} requests")
    short = [u["completion_tokens"] for u in usage if u["completion_tokens"] != args.max_tokens]
    if short:
        fail(f"{len(short)} answers do not have {args.max_tokens} tokens (the first has {short[0]}): "
             "the engine does not honour ignore_eos")
    return statistics.mean(u["prompt_tokens"] for u in usage)


def engine_command(args, concurrency, requests, results):
    context = 16 * math.ceil((4 * args.prompt_words + 64 + args.max_tokens) / 16)
    return [program(args, "inferq"), "run", requests, "-o", results, "--model", str(args.model),
            "--concurrency", str(concurrency), "--max-tokens", str(args.max_tokens), "--temperature", "0",
            "--context", str(context), "--threads", str(args.threads), "--quiet", "--restart"]


def time_engine(args, folder, concurrency, rounds):
    """Seconds and prompt tokens of concurrency * rounds requests, start and load included."""
    requests, results = f"{folder}/requests.jsonl", f"{folder}/results.jsonl"
    write_requests(requests, concurrency * rounds, args)
    start, cpu = time.perf_counter(), cpu_seconds()
    run(engine_command(args, concurrency, requests, results))
    seconds, cpu = time.perf_counter() - start, cpu_seconds() - cpu
    return seconds, cpu, read_usage(results, concurrency * rounds, args)


def measure_engine(args, folder, concurrency, rounds):
    short, short_cpu, _ = time_engine(args, folder, concurrency, 1)
    long, long_cpu, prompt_tokens = time_engine(args, folder, concurrency, 1 + rounds)
    if long <= short:
        fail(f"the long job took {long:.2f} s, the short one {short:.2f} s: too noisy, raise --tokens")
    tokens = concurrency * rounds * args.max_tokens
    return tokens / (long - short), 1e3 * (long_cpu - short_cpu) / tokens, prompt_tokens


def plain_command(args, concurrency, rounds, prompt_tokens):
    return [program(args, "inferq-bench-plain-loop"), "--model", str(args.model), "--sequences", str(concurrency),
            "--rounds", str(rounds), "--prompt-tokens", str(round(prompt_tokens)), "--output-tokens",
            str(args.max_tokens), "--threads", str(args.threads)]


def measure_plain(args, concurrency, rounds, prompt_tokens):
    cpu = cpu_seconds()
    measured = json.loads(run(plain_command(args, concurrency, rounds, prompt_tokens)))
    tokens = concurrency * (rounds + 1) * args.max_tokens  # the first round is not timed
    return measured | {"cpu_ms_per_token": 1e3 * (cpu_seconds() - cpu) / tokens}


def measure_point(args, folder, concurrency):
    rounds = max(1, math.ceil(args.tokens / (concurrency * args.max_tokens)))
    engine, cpu, plain, prompt_tokens = [], [], [], 2 * args.prompt_words
    for pair in range(args.pairs):
        if not args.plain_only:  # first, because the plain loop takes over its prompt length
            rate, cpu_ms, prompt_tokens = measure_engine(args, folder, concurrency, rounds)
            engine.append(rate)
            cpu.append(cpu_ms)
        plain.append(measure_plain(args, concurrency, rounds, prompt_tokens))
        print(f"  {concurrency:4} at once, pair {pair + 1}: plain {plain[-1]['tokens_per_s']:.1f} tok/s"
              + (f", inferq {engine[-1]:.1f} tok/s" if engine else ""), file=sys.stderr)
    return {"concurrency": concurrency, "engine": engine, "cpu": cpu, "plain": plain, "prompt_tokens": prompt_tokens}


def row(point):
    plain = [p["tokens_per_s"] for p in point["plain"]]
    cells = [str(point["concurrency"]), f"{point['prompt_tokens']:.0f}", f"{statistics.median(plain):.1f}"]
    if point["engine"]:
        ratios = [e / p for e, p in zip(point["engine"], plain)]
        cells += [f"{statistics.median(point['engine']):.1f}", f"**{statistics.median(ratios):.2f}**",
                  f"{min(ratios):.2f} to {max(ratios):.2f}",
                  f"{statistics.median(p['cpu_ms_per_token'] for p in point['plain']):.1f}",
                  f"{statistics.median(point['cpu']):.1f}"]
    else:
        cells += ["", "", "", "", ""]
    cells += [f"{statistics.median(p['prefill_tokens_per_s'] for p in point['plain']):.0f}",
              f"{statistics.median(p['decode_tokens_per_s'] for p in point['plain']):.1f}"]
    return "| " + " | ".join(cells) + " |"


def machine():
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        cpu = platform.processor() or platform.machine()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{cpu}, {os.cpu_count()} cores, {memory:.0f} GiB; {platform.system()} {platform.release()}"


def commit():
    done = subprocess.run(["git", "-C", str(ROOT), "describe", "--always", "--dirty"], capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def report(args, points, load):
    point = points[-1]
    size = args.model.stat().st_size / 1e6
    lines = [
        "# Embedded engine against bare libllama", "",
        f"- Machine: {machine()}; load average before the run {load:.1f}",
        f"- Commit: {commit()}; {time.strftime('%Y-%m-%d')}",
        f"- Model: {args.model.name}, {size:.0f} MB; {args.threads} threads; {args.max_tokens} tokens per answer, "
        f"greedy; {args.pairs} pairs per row, medians",
        f"- Command: `{shlex.join(['bench/engine.py', *sys.argv[1:]])}`",
        *([] if args.plain_only else [
            f"- Engine: `{relative(engine_command(args, point['concurrency'], 'requests.jsonl', 'results.jsonl'))}`"]),
        f"- Plain loop: `{relative(plain_command(args, point['concurrency'], 1, point['prompt_tokens']))}`", "",
        "| at once | prompt tokens | plain tok/s | inferq tok/s | ratio | ratios seen | plain CPU ms/token "
        "| inferq CPU ms/token | plain prefill tok/s | plain decode tok/s |",
        "| --: | --: | --: | --: | --: | :-- | --: | --: | --: | --: |", *[row(p) for p in points], "",
        "tok/s counts generated tokens over prefill and decode together; start-up and model loading are left out. CPU is "
        "processor time, user and system, of all processes for a generated token (of the plain loop with loading, of inferq "
        "parent and child together).", ""]
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text("\n".join(lines))
    print(f"wrote {args.out}", file=sys.stderr)


def relative(command):
    """The command as a person would type it in the repository."""
    return shlex.join(command).replace(f"{ROOT}/", "")


def main():
    args = parse_arguments()
    args.model = (args.model or default_model(args)).resolve()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="inferq-bench-") as folder:
        points = [measure_point(args, folder, int(n)) for n in args.concurrency.split(",")]
    report(args, points, load)


if __name__ == "__main__":
    main()
