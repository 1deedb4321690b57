"""What every side of the comparison does alike: read the state, check, warm up, time, count memory.

bench/workloads/measure.cpp is the same protocol for Chainrule; constants and formulas here are those there.
A side is a module with `prepare(threads, variant)` and `program(workload, state, variant)`, which returns a
Program or None where the side has no fair way to run a workload; `warm_up(threads, variant)`, if it has one, runs once
before all workloads.
"""

import argparse
import fnmatch
import gc
import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import Callable, Optional

import numpy as np

from sides import LEAST_REPETITIONS, LONGEST

SHORTEST_REPETITION = 1e-3  # seconds, or the clock would be measured
MOST_REPETITIONS = 2000
CHECKED_STEPS = 10
WARM_UP_CALLS = 3
LONGEST_WARM_UP = 0.5  # seconds


@dataclass
class Program:
    call: Optional[Callable] = None  # what is timed
    check: Optional[Callable] = None  # what must agree with the other sides: a list of numbers
    check_after: bool = False  # the check's own memory must not count
    times_itself: bool = False  # what is called returns its seconds
    # Functions that make the call, each in a way of its own: the fastest counts. They are tried, and with them the
    # check is made, in a process of their own, whose memory does not count.
    candidates: list = field(default_factory=list)
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


def enough(repetitions, least, passed, seconds):
    if seconds <= 0:
        return repetitions >= 1
    return (
        repetitions >= MOST_REPETITIONS
        or (passed >= seconds and repetitions >= least)
        or passed >= max(seconds, LONGEST)
    )


def time_once(call, times_itself):
    start = time.perf_counter()
    returned = call()
    return returned if times_itself else time.perf_counter() - start


def shortest_time(make, times_itself):
    """Of a call that is made, warmed up, and tried for a tenth of a second, three times at least, or for a second."""
    call = make()
    time_once(call, times_itself)
    begin, times = time.perf_counter(), []
    while (passed := time.perf_counter() - begin) < 0.1 or (len(times) < 3 and passed < 1):
        times.append(time_once(call, times_itself))
    return min(times)


def fastest(candidates, times_itself):
    """The number of the fastest of several ways to make a call, and why others were left out."""
    times, left_out = {}, []
    for number, make in enumerate(candidates):
        try:
            times[number] = shortest_time(make, times_itself)
        except Exception as error:  # a candidate that can't run here is no candidate
            left_out.append(f"candidate {number}: {type(error).__name__}: {error}")
        gc.collect()
    if not times:
        raise RuntimeError("no candidate runs: " + "; ".join(left_out))
    return min(times, key=times.get), left_out


def in_fork(f):
    """What f returns, computed in a process of its own."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            try:
                text = json.dumps({"returned": f()})
            except Exception as error:
                text = json.dumps({"error": f"{type(error).__name__}: {error}"})
            with os.fdopen(writing, "w") as pipe:
                pipe.write(text)
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    _, status = os.waitpid(child, 0)
    answer = json.loads(text) if text else {"error": f"a process that tried candidates ended with status {status}"}
    if "error" in answer:
        raise RuntimeError(answer["error"])
    return answer["returned"]


def checked(workload, program):
    """Random numbers agree in their magnitude alone."""
    numbers = program.check()
    return numbers[1:2] if workload.get("check") == "magnitude" else numbers


class Measurement:
    """One workload in one process: see bench/workloads/workload.hpp."""

    def __init__(self, side, workload, state, variant, threads, name):
        self.workload, self.threads, self.name = workload, threads, name
        self.memory_before = memory_of_process("VmRSS")
        side.prepare(threads, variant)
        self.program = side.program(workload, state, variant)
        self.one = float("inf")

    def run(self, calls):
        if self.program.repeat is not None:
            self.program.repeat(calls)
            return
        for _ in range(calls):
            self.program.call()

    def time_of(self, calls):
        if self.program.times_itself:
            return self.program.call()
        start = time.perf_counter()
        self.run(calls)
        return (time.perf_counter() - start) / calls

    def start(self, seconds):
        program = self.program
        result = {"workload": self.workload["name"], "side": self.name, "threads": self.threads}
        if program.candidates:
            best, left_out, result["check"] = in_fork(lambda: self.choose(seconds))
            if left_out:
                result["left_out"] = left_out
            program.call = program.candidates[best]()
        elif not program.check_after and program.check:
            result["check"] = checked(self.workload, program)
        if not program.times_itself:
            self.warm_up()
            result["one"] = self.one
        return result

    def choose(self, seconds):
        """The number of the fastest candidate, the first where nothing is timed, why others were left out, and what
        the check says."""
        program = self.program
        numbers = checked(self.workload, program)
        best, left_out = fastest(program.candidates, program.times_itself) if seconds > 0 else (0, [])
        return best, left_out, numbers

    def warm_up(self):
        """Three calls, fewer where they take long, after a first one, which may compile."""
        self.run(1)
        begin = time.perf_counter()
        for _ in range(WARM_UP_CALLS):
            self.one = min(self.one, self.time_of(1))
            if time.perf_counter() - begin > LONGEST_WARM_UP:
                return

    def burst(self, seconds, least):
        calls = max(1, int(SHORTEST_REPETITION / self.one)) if seconds > 0 else 1
        begin = time.perf_counter()
        while self.one < seconds and time.perf_counter() - begin < seconds / 4:
            self.one = min(self.one, self.time_of(1))
        times, begin = [], time.perf_counter()
        while True:
            times.append(self.time_of(calls))
            if enough(len(times), least, time.perf_counter() - begin, seconds):
                return times

    def finish(self):
        result = {"memory": memory_of_process("VmHWM") - self.memory_before}
        if self.program.check and self.program.check_after and not self.program.candidates:
            result["check"] = checked(self.workload, self.program)
        return result


def run_program(measurement, seconds):
    """Start, one burst, and finish in one: the last line of a child that takes no turns."""
    once = measurement.workload["kind"] == "compile_time"
    result = measurement.start(seconds)
    result["seconds"] = measurement.burst(0 if once else seconds, LEAST_REPETITIONS)
    return {**result, **measurement.finish()}


def say(line):
    print(json.dumps(line), flush=True)


def take_turns(measurement, seconds):
    """Answers what sides.py asks; returns the last line."""
    say(measurement.start(seconds))
    while (words := sys.stdin.readline().split()) and words[0] == "time":
        say({"seconds": measurement.burst(float(words[1]), 1)})
    return measurement.finish()


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
    return Program(check=lambda: [time_to_first_line(code)[1]], call=lambda: time_to_first_line(code)[0],
                   times_itself=True)


def is_asked_for(name, patterns):
    """Patterns, with ; in between, are parts of a name, or with = in front the whole of it."""
    return any(
        name == p[1:] if p.startswith("=") else fnmatch.fnmatchcase(name, f"*{p}*") for p in patterns.split(";")
    )


def in_child(make, last_line, label, workload):
    """Prints a line from a forked process: the import is paid once, and memory is counted from where nothing was
    computed yet. {"skipped"} where the side has no fair way to run the workload."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        try:
            measurement = make()
            say({"skipped": True} if measurement.program is None else last_line(measurement))
        except Exception as error:
            say({"workload": workload["name"], "side": label, "error": f"{type(error).__name__}: {error}"})
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if status != 0:
        say({"workload": workload["name"], "side": label, "error": f"the process ended with status {status}"})


def main(side, name):
    parser = argparse.ArgumentParser(description=side.__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--run", metavar="PATTERNS", help="these workloads, one JSON line each")
    what.add_argument("--serve", action="store_true", help="those whose names are read, in turns: see sides.py")
    parser.add_argument("--state", required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--variant", default="")
    arguments = parser.parse_args()
    state = State(arguments.state)
    with open(os.path.join(arguments.state, "workloads.json")) as file:
        workloads = json.load(file)
    label = arguments.variant or name
    if hasattr(side, "warm_up"):
        side.warm_up(arguments.threads, arguments.variant)

    def answer(workload, last_line):
        if "peers" in workload and label not in workload["peers"]:
            say({"skipped": True})
            return
        make = lambda: Measurement(side, workload, state, arguments.variant, arguments.threads, label)
        in_child(make, lambda measurement: last_line(measurement, arguments.seconds), label, workload)

    if arguments.serve:
        by_name = {workload["name"]: workload for workload in workloads}
        while asked := sys.stdin.readline().strip():
            answer(by_name[asked], take_turns)
        return
    for workload in workloads:
        if is_asked_for(workload["name"], arguments.run):
            answer(workload, run_program)
