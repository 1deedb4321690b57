"""The sides' processes, and their turns at a workload.

A side's process (bench_workloads --serve, or a *_side.py) reads a workload's name and forks a child, which prepares
the workload, answers with a line of JSON, and then times a short burst whenever it is asked to. So the sides' bursts
lie a tenth of a second apart, where whole runs would lie minutes apart, in which a shared processor changes its speed
more than the sides differ. Who is not asked is stopped: threads that spin while they wait for work (OpenMP's and
OpenBLAS's do for tens of milliseconds) would take a core from the next.
"""

import json
import os
import signal
import subprocess
import tempfile
import threading

LEAST_REPETITIONS = 20
DEADLINE = 900.0  # seconds for one answer; a compilation of minutes is the longest
LONGEST = 2.0  # seconds of bursts after which a side need not have so many repetitions


class Side:
    """One process, which starts when it is first asked and again after it has died."""

    def __init__(self, name, command, cores, environment):
        self.name, self.command, self.cores, self.environment = name, command, cores, environment
        self.process = None

    def _start(self):
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            self.command, env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
            text=True, bufsize=1, start_new_session=True, preexec_fn=lambda: os.sched_setaffinity(0, self.cores),
        )

    def ask(self, line):
        """The answer, or {"error": ...}."""
        if self.process is None:
            self._start()
        late = threading.Event()
        timer = threading.Timer(DEADLINE, lambda: (late.set(), self._signal(signal.SIGKILL)))
        timer.start()
        try:
            self._signal(signal.SIGCONT)
            self.process.stdin.write(line + "\n")
            while answer := self.process.stdout.readline():
                try:
                    result = json.loads(answer)
                except json.JSONDecodeError:  # the libraries print too
                    continue
                if isinstance(result, dict):
                    self._signal(signal.SIGSTOP)
                    return result
        except (BrokenPipeError, ProcessLookupError):
            pass
        finally:
            timer.cancel()
        status = self.process.wait()
        self.errors.seek(0)
        reason = f"no answer in {DEADLINE:g} s" if late.is_set() else f"the process ended with status {status}"
        message = self.errors.read()[-2000:].strip() or reason
        self.process = None
        return {"error": message}

    def _signal(self, number):
        """To the process and the child that it may be waiting for."""
        os.killpg(self.process.pid, number)

    def close(self):
        if self.process is not None:
            self._signal(signal.SIGKILL)
            self.process.wait()
            self.process = None


def has_enough(bursts, wanted):
    """So many bursts and 20 repetitions; where calls are long, two seconds in at least three bursts."""
    repetitions = sum(len(burst) for burst in bursts)
    passed = sum(sum(burst) for burst in bursts)
    return (
        (len(bursts) >= wanted and repetitions >= LEAST_REPETITIONS)
        or (passed >= LONGEST and len(bursts) >= min(3, wanted))
        or passed >= 3 * LONGEST
    )


def _take_bursts(workload, sides, bursts, seconds):
    """{side: result} of one child of each side, whose bursts take turns; with 0 seconds, of one call each."""
    results, running = {}, []
    for side in sides:
        answer = side.ask(workload["name"])
        if "skipped" in answer:
            continue
        results[side.name] = answer
        if "error" not in answer:
            answer["bursts"] = []
            running.append(side)

    def wants_more(side):
        taken = results[side.name]["bursts"]
        return not has_enough(taken, bursts) if seconds > 0 else not taken

    while asked := [side for side in running if wants_more(side)]:
        for side in asked:
            answer = side.ask(f"time {seconds}")
            if "error" in answer:
                results[side.name] = answer
                running.remove(side)
                side.close()  # the child may be dead, and what was asked lie unread
            else:
                # 200 repetitions of a burst say as much about its median as thousands.
                results[side.name]["bursts"].append(answer["seconds"][:200])
                if "peak" in answer:
                    results[side.name].setdefault("peaks", []).append(answer["peak"])
    for side in running:
        answer = side.ask("end")
        results[side.name].update(answer)
        if "error" in answer:
            side.close()
    return results


def _take_first_calls(workload, sides, calls):
    """As _take_bursts, for what a process does a first time once: so many children of one call each, fewer where they
    take long. Of what a child says of itself beside that, the last one's stays."""
    results = {}

    def wants_more(side):
        return "error" not in results[side.name] and sum(map(sum, results[side.name]["bursts"])) < LONGEST

    for _ in range(calls):
        for name, result in _take_bursts(workload, sides, 1, 0).items():
            if name in results and "error" not in result:
                for per_call in ("bursts", "peaks"):
                    result[per_call] = results[name].get(per_call, []) + result.get(per_call, [])
            results[name] = result
        sides = [side for side in sides if side.name in results and wants_more(side)]
    return results


def take_turns(workload, sides, bursts, seconds):
    """{side: result}, from measurements that take turns."""
    if workload["kind"] == "compile_time":
        return _take_first_calls(workload, sides, bursts)
    return _take_bursts(workload, sides, bursts, seconds)
