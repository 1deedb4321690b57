"""What every side of the comparison does alike: read the state, check, warm up, time, count memory.

bench/workloads/measure.cpp is the same protocol for Chainrule; constants and formulas here are those there.
A side is a module with `prepare(threads, variant)` and `program(workload, state, variant)`, which returns a
Program or None where the side has no fair way to run a workload.
"""

import argparse
import fnmatch
import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import Callable, Optional

import numpy as np

SHORTEST_REPETITION = 1e-3  # seconds, or the clock would be measured
LONGEST = 2.0
LEAST_REPETITIONS = 20
MOST_REPETITIONS = 2000
CHECKED_STEPS = 10


@dataclass
class Program:
    call: Optional[Callable] = None  # what is timed
    check: Optional[Callable] = None  # what must agree with the other sides: a list of numbers
    check_after: bool = False  # the check's own memory must not count
    timed: Optional[Callable] = None  # in place of `call`: times one repetition by itself
    candidates: list = field(default_factory=list)  # several ways to make the same call: the fastest counts
    repeat: Optional[Callable] = None  # makes n calls and waits for them, where calls may run ahead


class State:
    def __init__(self, folder):
        self.folder = folder
        pool = np.load(os.path.join(folder, "pool.npz"))
        self.normal, self.integer = pool["normal"], pool["integer"]

    def arrays(self, workload):
        """The workload's own weights and data."""
        name = re.sub("[^A-Za-z0-9]", "-", workload["name"])
        return dict(np.load(os.path.join(self.folder, name + ".npz")))

    def input(self, spec, index):
        """Input number `index`: the pool from some place on, repeated."""
        origin = spec.get("from", "normal")
        pool = self.integer if origin == "index" else self.normal
        values = np.resize(np.roll(pool, -(index * 7919 % len(pool))), spec["shape"])
        if origin == "index":
            return values % spec["below"]
        return values * values if origin == "positive" else values

    def inputs(self, workload):
        return [self.input(spec, i) for i, spec in enumerate(workload["inputs"])]

    def cotangent(self, workload, shape):
        return self.input({"shape": list(shape)}, len(workload["inputs"]))


def layers_of(arrays):
    """[(weight, bias), ...] of a network."""
    count = sum(name.startswith("weight") for name in arrays)
    return [(arrays[f"weight{i}"], arrays[f"bias{i}"]) for i in range(count)]


def summary_of(outputs):
    """Numbers on which two sides agree when their outputs do."""
    numbers = []
    for output in outputs:
        values = np.asarray(output, dtype=np.float64).reshape(-1)
        numbers += [float(values.mean()), float(np.abs(values).mean())]
        numbers += [float(values[i * (len(values) - 1) // 6]) for i in range(7)]
    return numbers


def memory_of_process(name):
    """A line of /proc/self/status, in bytes: VmRSS now, VmHWM the most so far."""
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith(name + ":"):
                return int(line.split()[1]) * 1024
    return 0


def enough(repetitions, passed, seconds):
    if seconds <= 0:
        return repetitions >= 1
    return (
        repetitions >= MOST_REPETITIONS
        or (passed >= seconds and repetitions >= LEAST_REPETITIONS)
        or passed >= max(seconds, LONGEST)
    )


def best_of(candidates, seconds):
    """The fastest of several ways to do the same: each is warmed up, then tried five times."""
    if len(candidates) == 1 or (candidates and seconds <= 0):
        return candidates[0]
    best, best_time = None, float("inf")
    for call in candidates:
        try:
            for _ in range(3):
                call()
            times = []
            for _ in range(5):
                start = time.perf_counter()
                for _ in range(5):
                    call()
                times.append(time.perf_counter() - start)
        except Exception as error:  # a candidate that can't run here is no candidate
            print(f"left out: {error}", file=sys.stderr)
            continue
        if min(times) < best_time:
            best, best_time = call, min(times)
    return best


def time_calls(program, seconds):
    call = program.call or best_of(program.candidates, seconds)
    if call is None:
        raise RuntimeError("no candidate runs")
    repeat = program.repeat

    def run(n):
        if repeat is not None:
            repeat(n)
            return
        for _ in range(n):
            call()

    start = time.perf_counter()
    run(1)
    one = time.perf_counter() - start
    warming, i = time.perf_counter(), 0
    while seconds > 0 and (i < 3 or time.perf_counter() - warming < seconds / 10):
        start = time.perf_counter()
        run(1)
        one = min(one, time.perf_counter() - start)
        i += 1
        if time.perf_counter() - warming > seconds:
            break
    calls = max(1, int(SHORTEST_REPETITION / one)) if seconds > 0 else 1
    times, begin = [], time.perf_counter()
    while True:
        start = time.perf_counter()
        run(calls)
        times.append((time.perf_counter() - start) / calls)
        if enough(len(times), time.perf_counter() - begin, seconds):
            return times, calls


def checked(workload, program):
    """Random numbers agree in their magnitude alone."""
    numbers = program.check()
    return numbers[1:2] if workload.get("check") == "magnitude" else numbers


def run_program(side, workload, state, variant, threads, seconds, name):
    before = memory_of_process("VmRSS")
    side.prepare(threads, variant)
    program = side.program(workload, state, variant)
    if program is None:
        return None
    result = {"workload": workload["name"], "side": name, "threads": threads}
    if program.check and not program.check_after:
        result["check"] = checked(workload, program)
    if program.timed:
        times, calls, begin = [], 1, time.perf_counter()
        while not times or not (
            workload["kind"] == "compile_time" or enough(len(times), time.perf_counter() - begin, seconds)
        ):
            times.append(program.timed())
    else:
        times, calls = time_calls(program, seconds)
    result.update(seconds=times, calls=calls, memory=memory_of_process("VmHWM") - before)
    if program.check and program.check_after:
        result["check"] = checked(workload, program)
    return result


def time_to_first_line(code):
    """Seconds from the start of a Python process to its first line, and the line."""
    start = time.perf_counter()
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    line = child.stdout.readline()
    passed = time.perf_counter() - start
    child.stdout.read()
    child.wait()
    return passed, float(line)


def start_program(code):
    """The program of `process_start`."""
    return Program(check=lambda: [time_to_first_line(code)[1]], timed=lambda: time_to_first_line(code)[0])


def is_asked_for(name, patterns):
    """Patterns, with ; in between, are parts of a name, or with = in front the whole of it."""
    return any(
        name == p[1:] if p.startswith("=") else fnmatch.fnmatchcase(name, f"*{p}*") for p in patterns.split(";")
    )


def main(side, name):
    """Runs the workloads that are asked for, each in a forked process: the import is paid once, and memory is
    counted from where nothing was computed yet."""
    parser = argparse.ArgumentParser(description=side.__doc__)
    parser.add_argument("--run", required=True, metavar="PATTERNS")
    parser.add_argument("--state", required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--variant", default="")
    arguments = parser.parse_args()
    state = State(arguments.state)
    with open(os.path.join(arguments.state, "workloads.json")) as file:
        workloads = json.load(file)
    label = arguments.variant or name
    for workload in workloads:
        if not is_asked_for(workload["name"], arguments.run):
            continue
        if "peers" in workload and label not in workload["peers"]:
            continue
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            try:
                result = run_program(
                    side, workload, state, arguments.variant, arguments.threads, arguments.seconds, label
                )
            except Exception as error:
                result = {"workload": workload["name"], "side": label, "error": f"{type(error).__name__}: {error}"}
            if result is not None:
                print(json.dumps(result), flush=True)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status != 0:
            message = f"the process ended with status {status}"
            print(json.dumps({"workload": workload["name"], "side": label, "error": message}), flush=True)
