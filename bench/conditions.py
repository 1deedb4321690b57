#!/usr/bin/env python3
"""What a table of times leaves out: `make bench-conditions`.

    conditions.py [--rounds N] [--seconds S] [--build] [--write]

- Neighbours: a training step alone, beside a busy process, and beside a second copy of itself, in turns.
- Size: the stripped program with the library in it, all that it loads, and LibTorch's libraries where
  `make bench-peers` has installed them.
- With --build: a cold build of the library, and from a change in one file to a test that has run. Both without
  ccache; minutes.

With --write the tables in docs/benchmarks.md follow.
"""

import argparse
import contextlib
import datetime
import json
import os
import pathlib
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "release"
PEERS = ROOT / "build" / "peers"
WORKLOADS = BUILD / "bench" / "bench_workloads"
STEPS = ["step/tiny adam", "step/mnist adam batch 128"]
BEGIN, END = "<!-- conditions: written by make bench-conditions -->", "<!-- end of conditions -->"


def step_command(step, state, threads, seconds):
    return [str(WORKLOADS), "--run", "=" + step, "--state", str(state), "--threads", str(threads),
            "--seconds", str(seconds)]


def median_step(step, state, threads, seconds):
    printed = subprocess.check_output(step_command(step, state, threads, seconds), text=True)
    return statistics.median(json.loads(printed.splitlines()[0])["seconds"])


@contextlib.contextmanager
def neighbour(command):
    """A process that runs until the block ends."""
    # A group of its own: the workload runs in a child, which would outlive its parent.
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        time.sleep(0.3)  # until it has started
        yield
        if process.poll() is not None:
            sys.exit(f"conditions.py: the neighbour ended before the measurement: {command}")
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def neighbours(rounds, seconds):
    """[(step, threads, median alone, slowdown beside a busy process, beside a copy)]"""
    rows = []
    busy = [sys.executable, "-c", "while True: pass"]
    counts = sorted({1, len(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as state:
        subprocess.run([str(WORKLOADS), "--describe", state, "--only", "step/"], check=True,
                       stdout=subprocess.DEVNULL)
        for step in STEPS:
            for threads in counts:
                alone, beside_busy, beside_copy = [], [], []
                for _ in range(rounds):
                    alone.append(median_step(step, state, threads, seconds))
                    with neighbour(busy):
                        beside_busy.append(median_step(step, state, threads, seconds))
                    with neighbour(step_command(step, state, threads, 60)):
                        beside_copy.append(median_step(step, state, threads, seconds))
                usual = statistics.median(alone)
                rows.append((step.removeprefix("step/"), threads, usual, statistics.median(beside_busy) / usual,
                             statistics.median(beside_copy) / usual))
    return rows


def loaded_libraries(program):
    printed = subprocess.check_output(["ldd", str(program)], text=True)
    return [pathlib.Path(path) for path in re.findall(r"(/\S+) \(0x", printed)]


def sizes():
    """[(what, bytes)]"""
    program = BUILD / "chainrule"
    with tempfile.TemporaryDirectory() as folder:
        stripped = pathlib.Path(folder) / "chainrule"
        subprocess.run(["strip", "-o", str(stripped), str(program)], check=True)
        own = stripped.stat().st_size
    loaded = sum(path.stat().st_size for path in loaded_libraries(program))
    rows = [("the program with the library in it, stripped", own),
            ("with all shared objects that it loads", own + loaded)]
    torch = [path for folder in PEERS.glob("venv/lib/python*/site-packages/torch/lib") for path in folder.glob("*.so*")
             if "python" not in path.name]
    if torch:
        rows.append(("PyTorch's C++ libraries (CPU)", sum(path.stat().st_size for path in torch)))
    return rows


def builds():
    """[(what, seconds)]"""
    quiet = {"env": {**os.environ, "CCACHE_DISABLE": "1"}, "stdout": subprocess.DEVNULL, "check": True, "cwd": ROOT}
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["cmake", "--preset", "release", "-B", folder], **quiet)
        start = time.monotonic()
        subprocess.run(["cmake", "--build", folder, "--target", "chainrule"], **quiet)
        cold = time.monotonic() - start
    tests = ["cmake", "--build", str(BUILD), "--target", "test_ops"]
    subprocess.run(tests, **quiet)
    os.utime(ROOT / "src" / "ops" / "sorting.cpp")
    start = time.monotonic()
    subprocess.run(tests, **quiet)
    subprocess.run([str(BUILD / "tests" / "test_ops"), "--gtest_filter=*sort*"], **quiet)
    return [("cold build of the library, without ccache", cold),
            ("an op's file changed, to a test that has run", time.monotonic() - start)]


def time_text(seconds):
    for unit, factor in (("s", 1), ("ms", 1e3), ("µs", 1e6)):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(map(str, row)) + " |" for row in rows)])


def count(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} where at least 1 is wanted")
    return number


def duration(text):
    number = float(text)
    if not 0 < number <= 60:
        raise argparse.ArgumentTypeError(f"{text} where more than 0 and at most 60 seconds are wanted")
    return number


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=count, default=9, help="turns of each kind (9)")
    parser.add_argument("--seconds", type=duration, default=0.5, help="of each measurement (0.5)")
    parser.add_argument("--build", action="store_true", help="the builds too; minutes")
    parser.add_argument("--write", action="store_true", help="write the tables to docs/benchmarks.md")
    arguments = parser.parse_args()
    if not WORKLOADS.exists():
        sys.exit(f"conditions.py: {WORKLOADS} is missing; make bench-conditions builds it")
    steps = table(["step", "threads", "alone", "beside a busy process", "beside a copy of itself"],
                  [(step, threads, time_text(alone), f"{busy:.2f} x as long", f"{copy:.2f} x as long")
                   for step, threads, alone, busy, copy in neighbours(arguments.rounds, arguments.seconds)])
    rows = [(what, f"{size / 1e6:.1f} MB") for what, size in sizes()]
    if arguments.build:
        rows += [(what, f"{seconds:.0f} s") for what, seconds in builds()]
    cores = len(os.sched_getaffinity(0))
    text = f"{datetime.date.today()}, {cores} cores.\n\n{steps}\n\n{table(['what', 'measured'], rows)}"
    print(text)
    if arguments.write:
        page = ROOT / "docs" / "benchmarks.md"
        before, rest = page.read_text().split(BEGIN)
        page.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
