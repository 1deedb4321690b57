#!/usr/bin/env python3
"""Chainrule beside PyTorch, JAX and NumPy: `make bench-peers`.

    compare.py [--only PATTERN] [--threads N] [--quick] [--check] [--processes N] [--sides NAME,...] [--write]
               [--resume]

Makes a Python environment in build/peers/venv, runs every workload of bench/workloads.json on all sides in turn, in
several processes each, and prints a table. A full run writes bench/results/latest.json and the table in
docs/benchmarks.md; a run with --only, --threads, --quick or --check does so with --write alone, one that Ctrl-C ends
does not. Each workload is filed in build/peers/turns.jsonl when it has ended: with --resume, the run that stopped goes
on.
Exit status 1: the sides disagree, or one of them failed.
"""

import argparse
import fnmatch
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from sides import Side, take_turns

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
WORK = ROOT / "build" / "peers"
OURS = ROOT / "build" / "release" / "bench" / "bench_workloads"
CPU_WHEELS = "https://download.pytorch.org/whl/cpu"

SIDES = {
    "ours": [str(OURS)],
    "torch": ["torch_side.py", "--variant", "torch"],
    "torch.compile": ["torch_side.py", "--variant", "torch.compile"],
    "jax": ["jax_side.py"],
    "numpy": ["numpy_side.py"],
    # Our kernels for older processors; no peers of ours.
    "AVX2": [str(OURS), "--target", "AVX2"],
    "SCALAR": [str(OURS), "--target", "SCALAR"],
    # Ours on one thread, where the others have more.
    "one thread": [str(OURS)],
}
OLDER = {"AVX2", "SCALAR"}
# Large pages for the peers' arrays: ours asks for them itself.
LARGE_PAGES = {"THP_MEM_ALLOC_ENABLE": "1", "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
# The older kernels run in the first process alone, for as few bursts as give 20 repetitions, and not what takes the
# best ones longer than this: it would take the baseline's minutes.
LONGEST_FOR_OLDER = 0.03
BURSTS_OF_OLDER = 3


def make_environment():
    """The interpreter of an environment that holds the pinned peers."""
    python = WORK / "venv" / "bin" / "python"
    done = WORK / "installed.txt"
    wanted = (HERE / "requirements.txt").read_text()
    if python.exists() and done.exists() and done.read_text() == wanted:
        return python
    print("making build/peers/venv: the first time this takes minutes", file=sys.stderr)
    WORK.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, "-m", "venv", str(WORK / "venv")], check=True)
    install = [str(python), "-m", "pip", "install", "--quiet", "-r", str(HERE / "requirements.txt")]
    try:  # PyTorch's own index has wheels without the parts for graphics cards
        urllib.request.urlopen(CPU_WHEELS + "/torch/", timeout=10).close()
        install += ["--extra-index-url", CPU_WHEELS]
    except OSError:
        pass
    subprocess.run(install, check=True)
    done.write_text(wanted)
    return python


def settings(threads):
    """What all processes get: caches that stay warm, malloc that keeps its pages, one pool of threads."""
    return {
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": str(threads),
        "MALLOC_MMAP_MAX_": "0",
        "MALLOC_TRIM_THRESHOLD_": str(1 << 40),
        "MALLOC_TOP_PAD_": str(1 << 26),
        "TORCHINDUCTOR_CACHE_DIR": str(WORK / "inductor"),
        "JAX_PLATFORMS": "cpu",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PYTHONWARNINGS": "ignore",
    }


def measure_machine(threads):
    return [json.loads(subprocess.check_output([str(OURS), "--machine", "--threads", str(threads)], text=True))]


def fingerprint():
    """Of both sides' programs and the peers' versions: a run goes on only where none of them has changed."""
    own = ["compare.py", "protocol.py", "sides.py", "requirements.txt"]
    files = [OURS, *sorted(HERE.glob("*_side.py")), *(HERE / name for name in own)]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def side_named(name, python, state, threads, seconds):
    command = list(SIDES[name])
    if command[0] != str(OURS):
        command = [str(python), str(HERE / command[0]), *command[1:]]
    if name == "one thread":
        threads = 1
    command += ["--serve", "--state", str(state), "--threads", str(threads), "--seconds", str(seconds)]
    environment = settings(threads) | ({} if command[0] == str(OURS) else LARGE_PAGES)
    return Side(name, command, sorted(os.sched_getaffinity(0))[:threads], environment)


def groups_of(workloads, pattern):
    """The workloads that are asked for, and [(family, workloads)]: what the same processes run has a name that begins
    alike, up to the slash."""
    asked = [w for w in workloads if fnmatch.fnmatchcase(w["name"], f"*{pattern}*")]
    families = {}
    for workload in asked:
        families.setdefault(workload["name"].split("/")[0], []).append(workload)
    return asked, list(families.items())


def is_short(ours):
    times = [second for burst in ours.get("bursts", []) for second in burst]
    return bool(times) and min(times) <= LONGEST_FOR_OLDER


def compare(workload, sides, is_first, bursts, seconds):
    """One result of each side, as lines to be filed."""
    results = take_turns(workload, [side for side in sides if side.name not in OLDER], bursts, seconds)
    if is_first and is_short(results.get("ours", {})):
        older = [side for side in sides if side.name in OLDER]
        results.update(take_turns(workload, older, min(bursts, BURSTS_OF_OLDER), seconds))
    for name, result in results.items():
        for reason in result.get("left_out", []):
            print(f"\n{workload['name']}, {name}: left out {reason}", file=sys.stderr)
    return [{**result, "workload": workload["name"], "side": name} for name, result in results.items()]


def measure(make_sides, groups, threads, rounds, bursts, seconds, filed):
    """({workload: {side: [one result for each process]}}, whether Ctrl-C cut it short)"""
    results = {}
    for number, (family, workloads) in enumerate(groups):
        for turn in range(rounds):
            sides = make_sides(threads)
            try:
                for workload in workloads:
                    start = time.time()
                    lines = filed.take((threads, workload["name"], turn),
                                       lambda: compare(workload, sides, turn == 0, bursts, seconds))
                    for line in lines:
                        results.setdefault(line["workload"], {}).setdefault(line["side"], []).append(line)
                    print(
                        f"\r\033[K{threads} threads, {family} ({number + 1}/{len(groups)}), round {turn + 1}/{rounds}, "
                        f"{workload['name']}: {time.time() - start:.0f} s",
                        end="", file=sys.stderr, flush=True,
                    )
            except KeyboardInterrupt:
                print(file=sys.stderr)
                # A family that has not been through all rounds is no comparison.
                return {name: found for name, found in results.items() if name.split("/")[0] != family}, True
            finally:
                for side in sides:
                    side.close()
    print(file=sys.stderr)
    return results, False


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", metavar="PATTERN", help="part of a workload's name; * matches anything")
    parser.add_argument("--threads", type=int, help="1 and as many as there are cores by default")
    parser.add_argument("--quick", action="store_true", help="two processes of eight bursts in place of five of twelve")
    parser.add_argument("--check", action="store_true", help="one short process of each side: do they agree?")
    parser.add_argument("--processes", type=int, help="of each side, in place of five")
    parser.add_argument("--sides", default=",".join(SIDES), help="sides to run, with commas in between")
    parser.add_argument("--resume", action="store_true", help="go on with the run that was stopped")
    parser.add_argument("--write", action="store_true", help="write the results even of a part or a quick run")
    arguments = parser.parse_args()
    for name in ("threads", "processes"):
        number = getattr(arguments, name)
        if number is not None and number < 1:
            parser.error(f"argument --{name}: {number} where at least 1 is wanted")
    return arguments


def main():
    arguments = parse_arguments()
    python = make_environment()
    if Path(sys.prefix).resolve() != (WORK / "venv").resolve():
        os.execv(python, [str(python), *sys.argv])
    import report
    from turns import Turns

    state = WORK / "state"
    subprocess.run([*SIDES["ours"], "--describe", str(state), "--only", arguments.only], check=True)
    workloads = json.loads((state / "workloads.json").read_text())
    asked, groups = groups_of(workloads, arguments.only)
    if not asked:
        print(f"no workload's name contains {arguments.only!r}", file=sys.stderr)
        return 2
    cores = len(os.sched_getaffinity(0))
    counts = [arguments.threads] if arguments.threads else sorted({1, cores})
    rounds, bursts, seconds = (1, 1, 0) if arguments.check else (2, 8, 0.02) if arguments.quick else (5, 12, 0.04)
    rounds = arguments.processes or rounds
    asked_for = arguments.sides.split(",")
    if unknown := set(asked_for) - set(SIDES):
        print(f"no side is called {', '.join(unknown)}; known: {', '.join(SIDES)}", file=sys.stderr)
        return 2
    sides = [side for side in SIDES if side in asked_for]
    asked_of_run = {"only": arguments.only, "sides": sides, "rounds": rounds, "bursts": bursts, "seconds": seconds,
                    "programs": fingerprint()}
    for stop in (signal.SIGINT, signal.SIGTERM):  # even where a shell in the background had them ignored
        signal.signal(stop, signal.default_int_handler)
    filed = Turns(WORK / "turns.jsonl", asked_of_run, arguments.resume)

    def make_sides(threads):
        wanted = [name for name in sides if threads > 1 or name != "one thread"]
        return [side_named(name, python, state, threads, seconds) for name in wanted]

    tables = {}
    for threads in counts:
        [machine] = filed.take((threads, "machine"), lambda: measure_machine(threads))
        results, interrupted = measure(make_sides, groups, threads, rounds, bursts, seconds, filed)
        measured = [w for w in asked if not interrupted or w["name"] in results]
        if measured:
            tables[threads] = (machine, report.rows_of(measured, results, machine))
        if interrupted:
            break
    if not tables:
        print("ended before any workload was compared", file=sys.stderr)
        return 1
    document = report.document(
        tables, arguments, sides, rounds, bursts, seconds, filed.seconds(), len(asked) * len(counts))
    print(report.as_text(document))
    WORK.joinpath("last.json").write_text(json.dumps(document, indent=1))
    part = arguments.only or arguments.quick or arguments.check or arguments.threads
    if interrupted:
        print("cut short, so nothing was written over the last run's table; --resume goes on from here", file=sys.stderr)
    elif arguments.write or not part:
        report.write(document, ROOT)
    return 1 if document["disagreements"] or document["failures"] else 0


if __name__ == "__main__":
    sys.exit(main())
