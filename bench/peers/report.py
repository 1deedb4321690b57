"""From the measurements of all sides to the table: agreement, ratios with their spread, floors, bars."""

import datetime
import importlib.metadata
import json
import platform

import numpy as np

from judgement import disagreement, unmet_bars

RESAMPLES = 1000
ALONE = "one thread"  # Chainrule, where the table has more threads
OURS = ("ours", "AVX2", "SCALAR", ALONE)  # with the best instruction set and with older ones
BEGIN, END = "<!-- table: written by make bench-peers -->", "<!-- end of table -->"


# ---- statistics ----------------------------------------------------------------------------------


def medians_of(result):
    """Of each burst of a process."""
    return [float(np.median(burst)) for burst in result["bursts"]]


def time_of(results):
    return float(np.median([np.median(medians_of(result)) for result in results]))


def ratio_of(theirs, ours, generator):
    """How many times faster we are: the median over pairs of bursts that followed each other, with the 95 % interval
    over pairs drawn anew, first of the processes, then inside of each."""
    processes = []
    for their, our in zip(theirs, ours):
        pairs = zip(medians_of(their), medians_of(our))
        processes.append(np.array([a / b for a, b in pairs]))
    medians = np.empty(RESAMPLES)
    for i in range(RESAMPLES):
        chosen = generator.integers(len(processes), size=len(processes))
        medians[i] = np.median(np.concatenate([generator.choice(processes[j], len(processes[j])) for j in chosen]))
    low, high = np.percentile(medians, [2.5, 97.5])
    return {"ratio": float(np.median(np.concatenate(processes))), "low": float(low), "high": float(high)}


# ---- floors --------------------------------------------------------------------------------------


def bandwidth(machine, working_set):
    shared = working_set / machine["threads"]
    for level in machine["levels"]:
        if level["bytes"] == 0 or shared <= level["bytes"]:
            return level["update_rate"]
    return machine["levels"][-1]["update_rate"]


def peak_of(results):
    """What multiply-adds reached between a workload's bursts; 0 where the dtype has no instruction for them."""
    return float(np.median([peak for result in results for peak in result["peaks"]]))


def floor_of(work, machine):
    """Seconds below which this machine can't do the work: multiply-adds at their peak, divisions and roots, or bytes,
    whichever takes longest."""
    peak = machine.get(work["dtype"] + "_flops") or machine["float32_flops"]
    arithmetic = work["product_flops"] / peak + work["other_flops"] / machine["float32_flops"]
    divider = work["divisions"] / machine["float32_divisions"] + work["roots"] / machine["float32_roots"]
    return max(arithmetic, divider, work["bytes"] / bandwidth(machine, work["bytes"]))


# ---- rows ----------------------------------------------------------------------------------------


def row_of(workload, sides, machine, generator):
    row = {"workload": workload["name"], "threads": machine["threads"], "failures": {}, "disagreements": {}}
    good = {}
    for side, lines in sides.items():
        errors = [line["error"] for line in lines if "error" in line]
        if errors:
            row["failures"][side] = errors[0]
        else:
            good[side] = lines
    if "ours" not in good:
        row["failures"].setdefault("ours", "no result")
        return row
    reference = good["ours"][0]
    row["checked"] = "check" in reference and any("check" in line for side, lines in good.items()
                                                  if side not in OURS for line in lines)
    if "check" in reference:
        for side, lines in good.items():
            for line in lines:
                problem = disagreement(reference["check"], line.get("check", []), workload) if "check" in line else None
                if problem:
                    row["disagreements"][side] = problem
    row["times"] = {side: time_of(lines) for side, lines in good.items() if side != ALONE}
    row["memory"] = {side: float(np.median([line["memory"] for line in lines])) for side, lines in good.items()}
    row["repetitions"] = {side: sum(len(burst) for line in lines for burst in line["bursts"])
                          for side, lines in good.items()}
    row["ratios"] = {side: ratio_of(lines, good["ours"], generator) for side, lines in good.items() if side not in OURS}
    row["best"] = min(row["ratios"], key=lambda side: row["ratios"][side]["ratio"], default=None)
    if ALONE in good:
        row["speedup"] = ratio_of(good[ALONE], good["ours"], generator)
    work = reference.get("work")
    if work and workload["kind"] != "compile_time":
        now = {**machine, work["dtype"] + "_flops": peak_of(good["ours"])}
        row["floor"] = floor_of(work, now)
        row["work"] = work
        row["share_of_peak"] = float(np.median([
            work["product_flops"] / (second * (peak or machine["float32_flops"])) for line in good["ours"]
            for second, peak in zip(medians_of(line), line["peaks"])]))
    if "extras" in reference:
        epochs = [second for line in good["ours"] for burst in line["bursts"] for second in burst]
        bare = [second for line in good["ours"] for second in line["extras"]["bare_steps"]]
        row["overhead"] = float(np.median(np.divide(epochs, bare)))
    row["unmet"] = unmet_bars(row, workload.get("bar", {}))
    return row


def rows_of(workloads, results, machine):
    generator = np.random.default_rng(0)
    return [row_of(w, results.get(w["name"], {}), machine, generator) for w in workloads]


# ---- the document --------------------------------------------------------------------------------


def processor():
    with open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()


def document(tables, arguments, sides, rounds, bursts, seconds, passed, asked):
    rows = [row for _, table in tables.values() for row in table]
    machines = [machine for machine, _ in tables.values()]
    packages = ["torch", "jax", "jaxlib", "numpy", "scipy", "scikit-learn"]
    return {
        "date": datetime.date.today().isoformat(),
        "processor": processor(),
        "instruction_set": machines[0]["instruction_set"],
        "system": platform.platform(),
        "versions": {
            "chainrule": machines[0]["version"],
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in packages},
        },
        "protocol": {"only": arguments.only, "quick": arguments.quick, "sides": sides, "processes": rounds,
                     "bursts": bursts, "seconds": seconds, "minutes": round(passed / 60, 1), "rows": asked},
        "machines": machines,
        "disagreements": [[r["workload"], r["threads"], s, p] for r in rows for s, p in r["disagreements"].items()],
        "failures": [[r["workload"], r["threads"], s, p] for r in rows for s, p in r["failures"].items()],
        "rows": rows,
    }


def time_text(seconds):
    if seconds is None:
        return "–"
    for unit, scale in (("s", 1), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def ratio_text(ratio):
    return f"{ratio['ratio']:.2f} ({ratio['low']:.2f}–{ratio['high']:.2f})" if ratio else "–"


def cells_of(row, peers):
    times = row.get("times")
    if times is None:
        return [row["workload"].split("/", 1)[1], str(row["threads"]), "failed", *["–"] * (len(peers) + 6)]
    floor = row.get("floor")
    memory = row["memory"].get("torch")
    remarks = [f"misses {bar}" for bar in row["unmet"]] or ["met"]
    remarks += [f"disagrees with {side}" for side in row["disagreements"]]
    if "overhead" in row:
        remarks.append(f"trainer / bare steps {row['overhead']:.2f}")
    if row.get("share_of_peak", 0) > 0 and row["workload"].startswith("product/"):
        remarks.append(f"{100 * row['share_of_peak']:.0f} % of peak")
    return [
        row["workload"].split("/", 1)[1],
        str(row["threads"]),
        time_text(times["ours"]),
        *[time_text(times.get(peer)) for peer in peers],
        ratio_text(row["ratios"].get(row["best"])),
        ratio_text(row.get("speedup")),
        time_text(floor),
        f"{times['ours'] / floor:.2f}" if floor else "–",
        f"{row['memory']['ours'] / memory:.2f}" if memory else "–",
        "; ".join(remarks),
    ]


def tables_of(document):
    """[(title, header, rows of cells)], one table for each family of workloads."""
    peers = [side for side in document["protocol"]["sides"] if side not in ("ours", ALONE)]
    header = ["workload", "threads", "ours", *peers, "best peer / ours", "one thread / ours", "floor", "ours / floor",
              "memory / torch", "bar"]
    order = {name: i for i, name in enumerate(dict.fromkeys(row["workload"] for row in document["rows"]))}
    rows = sorted(document["rows"], key=lambda row: (order[row["workload"]], row["threads"]))
    tables = {}
    for row in rows:
        tables.setdefault(row["workload"].split("/")[0], []).append(cells_of(row, peers))
    return [(title, header, cells) for title, cells in tables.items()]


def summary_lines(document):
    rows = [row for row in document["rows"] if "times" in row]
    met = sum(not row["unmet"] for row in rows)
    memory = [row["memory"]["ours"] / row["memory"]["torch"] for row in rows if row["memory"].get("torch")]
    light = sum(ratio <= 0.7 for ratio in memory)
    checked = [row for row in rows if row["checked"]]
    agree = sum(not row["disagreements"] for row in checked)
    beside_best = [row["ratios"][row["best"]] for row in rows if row["best"]]
    fastest = sum(ratio["ratio"] > 1 for ratio in beside_best)
    surely = sum(ratio["low"] > 1 for ratio in beside_best)
    counts = sorted({row["threads"] for row in rows})
    slower, perhaps = [], []
    for row in rows:
        if row.get("speedup", {}).get("ratio", 1) < 1 / 1.05:
            (slower if row["speedup"]["high"] < 1 / 1.05 else perhaps).append(row["workload"])
    versions = ", ".join(f"{name} {version}" for name, version in document["versions"].items())
    protocol = document["protocol"]
    measured, asked = len(document["rows"]), protocol["rows"]
    part = f" Ended early: {measured} of {asked} rows (workload and threads)." if measured < asked else ""
    lines = [
        f"{document['date']}, {document['processor']}, kernels for {document['instruction_set']}; {versions}. "
        f"{protocol['processes']} processes of each side for a workload, whose {protocol['bursts']} bursts of "
        f"{protocol['seconds']} s take turns.{part}",
    ]
    for machine in document["machines"]:
        levels = ", ".join(f"{l['name']} {l['update_rate'] * 1e-9:.0f} GB/s" for l in machine["levels"])
        tiles = machine["bfloat16_flops"]
        bfloat16 = f"{tiles * 1e-9:.0f} bfloat16" if tiles > 0 else "bfloat16 by way of float32 (no tiles)"
        lines.append(
            f"{machine['threads']} thread{'s' * (machine['threads'] > 1)}: {machine['float32_flops'] * 1e-9:.0f} "
            f"GFLOP/s float32, {machine['float64_flops'] * 1e-9:.0f} float64, {bfloat16}; {levels}.")
    lines.append(
        f"The results of {len(checked)} of {len(rows)} rows can be compared: the sides agree in {agree}. Chainrule is "
        f"the fastest in {fastest}, in {surely} with the whole interval; {met} reach their bar; memory is at most 0.7 "
        f"of PyTorch's in {light} of {len(memory)}.")
    if any("speedup" in row for row in rows):
        lines.append(f"Slower by more than 5 % on {counts[-1]} threads than on one: {', '.join(slower) or 'nothing'}; in the "
                     f"median, with an interval that reaches above: {', '.join(perhaps) or 'nothing'}.")
    return lines


def as_text(document):
    parts = []
    for title, header, rows in tables_of(document):
        widths = [max(len(line[i]) for line in [header, *rows]) for i in range(len(header))]
        parts.append(title)
        for line in [header, *rows]:
            parts.append("  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())
    for kind in ("disagreements", "failures"):
        parts += [f"{kind}: {' | '.join(map(str, entry))}" for entry in document[kind]]
    return "\n".join([*parts, *summary_lines(document)])


def as_markdown(document):
    parts = [*[line + "  " for line in summary_lines(document)], ""]
    for title, header, rows in tables_of(document):
        parts += [f"### {title}", "", "| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
        parts += ["| " + " | ".join(cells) + " |" for cells in rows]
        parts.append("")
    return "\n".join(parts)


def write(document, root):
    results = root / "bench" / "results"
    results.mkdir(exist_ok=True)
    (results / "latest.json").write_text(json.dumps(document, indent=1) + "\n")
    page = root / "docs" / "benchmarks.md"
    text = page.read_text()
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    page.write_text(f"{before}{BEGIN}\n\n{as_markdown(document)}\n{END}{after}")
