"""From the measurements of all sides to the table: agreement, ratios with their spread, floors, bars."""

import datetime
import importlib.metadata
import json
import platform

import numpy as np

TOLERANCE = {"float32": 1e-4, "float64": 1e-9, "bfloat16": 2e-2}
RESAMPLES = 1000
OURS = ("ours", "AVX2", "SCALAR")  # Chainrule, with the best instruction set and with older ones
NEAR_FLOOR = 1.2  # a peer this near to the floor can hardly be beaten
BEGIN, END = "<!-- table: written by make bench-peers -->", "<!-- end of table -->"


# ---- agreement -----------------------------------------------------------------------------------


def disagreement(ours, theirs, workload):
    """What differs between two checks, or None. Errors count relative to the number, for outputs that are
    arrays to their mean magnitude at least."""
    tolerance = workload.get("tolerance", TOLERANCE[workload.get("dtype", "float32")])
    if len(ours) != len(theirs):
        return f"{len(ours)} numbers and {len(theirs)}"
    for i, (a, b) in enumerate(zip(ours, theirs)):
        if a is None or b is None:
            return f"number {i} is not finite"
        scale = max(abs(a), abs(b))
        if workload["kind"] not in ("train_step", "epoch", "process_start") and len(ours) % 9 == 0:
            scale = max(scale, abs(ours[i // 9 * 9 + 1]))
        if abs(a - b) > tolerance * scale:
            return f"number {i} is {a:.8g} and {b:.8g}"
    return None


# ---- statistics ----------------------------------------------------------------------------------


def resampled_medians(processes, generator):
    """Medians of resampled measurements: first of the processes, then of the repetitions inside of each."""
    medians = np.empty(RESAMPLES)
    for i in range(RESAMPLES):
        chosen = generator.integers(len(processes), size=len(processes))
        medians[i] = np.median([
            np.median(generator.choice(processes[j], len(processes[j]))) for j in chosen])
    return medians


def timing_of(processes, generator):
    samples = [np.asarray(p["seconds"][:200]) for p in processes]
    return {
        "median": float(np.median([np.median(s) for s in samples])),
        "resampled": resampled_medians(samples, generator),
        "memory": float(np.median([p["memory"] for p in processes])),
        "repetitions": int(sum(len(p["seconds"]) for p in processes)),
        "processes": len(samples),
    }


def ratio_of(theirs, ours):
    """How many times faster we are, with the 95 % interval."""
    low, high = np.percentile(theirs["resampled"] / ours["resampled"], [2.5, 97.5])
    return {"ratio": theirs["median"] / ours["median"], "low": float(low), "high": float(high)}


# ---- floors --------------------------------------------------------------------------------------


def bandwidth(machine, working_set):
    shared = working_set / machine["threads"]
    for level in machine["levels"]:
        if level["bytes"] == 0 or shared <= level["bytes"]:
            return level["update_rate"]
    return machine["levels"][-1]["update_rate"]


def floor_of(work, machine):
    """Seconds below which this machine can't do the work: multiply-adds at their peak, divisions and roots, or bytes,
    whichever takes longest."""
    peak = machine.get(work["dtype"] + "_flops") or machine["float32_flops"]
    arithmetic = work["product_flops"] / peak + work["other_flops"] / machine["float32_flops"]
    divider = work["divisions"] / machine["float32_divisions"] + work["roots"] / machine["float32_roots"]
    return max(arithmetic, divider, work["bytes"] / bandwidth(machine, work["bytes"]))


# ---- bars ----------------------------------------------------------------------------------------


def reached(row, peer, wanted):
    """Whether the ratio to a peer is the wanted one: ahead (1) means that the interval lies above 1."""
    ratio = row["ratios"][peer]
    if (ratio["low"] > 1) if wanted == 1 else (ratio["ratio"] >= wanted):
        return True
    floor = row.get("floor")
    if floor and row["times"][peer] <= NEAR_FLOOR * floor:
        return ratio["ratio"] >= 0.97 or row["times"]["ours"] <= NEAR_FLOOR * floor
    return False


def unmet_bars(row, bar):
    ours, floor = row["times"]["ours"], row.get("floor")
    unmet = []
    for name, wanted in bar.items():
        if name == "floor":
            met = floor is None or ours <= wanted * floor
        elif name == "peak":
            met = row["share_of_peak"] >= wanted
        elif name == "overhead":
            met = row["overhead"] <= wanted
        elif name == "or_floor":
            continue
        else:
            peer = row["best"] if name == "best" else name
            if peer not in row["ratios"]:
                continue
            met = reached(row, peer, wanted) or ("or_floor" in bar and floor and ours <= bar["or_floor"] * floor)
        if not met:
            unmet.append(f"{name} {wanted}")
    return unmet


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
    if "check" in reference:
        for side, lines in good.items():
            for line in lines:
                problem = disagreement(reference["check"], line.get("check", []), workload) if "check" in line else None
                if problem:
                    row["disagreements"][side] = problem
    timings = {side: timing_of(lines, generator) for side, lines in good.items()}
    row["times"] = {side: t["median"] for side, t in timings.items()}
    row["memory"] = {side: t["memory"] for side, t in timings.items()}
    row["repetitions"] = {side: t["repetitions"] for side, t in timings.items()}
    row["ratios"] = {side: ratio_of(t, timings["ours"]) for side, t in timings.items() if side not in OURS}
    row["best"] = min(row["ratios"], key=lambda side: row["times"][side], default=None)
    work = reference.get("work")
    if work and workload["kind"] != "compile_time":
        row["floor"] = floor_of(work, machine)
        row["work"] = work
        peak = machine.get(work["dtype"] + "_flops") or machine["float32_flops"]
        row["share_of_peak"] = work["product_flops"] / row["times"]["ours"] / peak
    if "extras" in reference:
        bare = float(np.median([line["extras"]["bare_steps"] for line in good["ours"]]))
        row["overhead"] = row["times"]["ours"] / bare
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


def document(tables, arguments, sides, rounds, seconds, passed, asked):
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
                     "seconds": seconds, "minutes": round(passed / 60, 1), "rows": asked},
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


def cells_of(row, peers):
    times = row.get("times")
    if times is None:
        return [row["workload"].split("/", 1)[1], str(row["threads"]), "failed", *["–"] * (len(peers) + 5)]
    best = row["ratios"].get(row["best"])
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
        f"{best['ratio']:.2f} ({best['low']:.2f}–{best['high']:.2f})" if best else "–",
        time_text(floor),
        f"{times['ours'] / floor:.2f}" if floor else "–",
        f"{row['memory']['ours'] / memory:.2f}" if memory else "–",
        "; ".join(remarks),
    ]


def tables_of(document):
    """[(title, header, rows of cells)], one table for each family of workloads."""
    peers = [side for side in document["protocol"]["sides"] if side != "ours"]
    header = ["workload", "threads", "ours", *peers, "best peer / ours", "floor", "ours / floor", "memory / torch", "bar"]
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
    agree = sum(not row["disagreements"] for row in rows)
    counts = sorted({row["threads"] for row in rows})
    alone = {row["workload"]: row["times"]["ours"] for row in rows if row["threads"] == counts[0]}
    slower = [row["workload"] for row in rows
              if row["threads"] == counts[-1] and row["times"]["ours"] > 1.05 * alone.get(row["workload"], np.inf)]
    versions = ", ".join(f"{name} {version}" for name, version in document["versions"].items())
    protocol = document["protocol"]
    measured, asked = len(document["rows"]), protocol["rows"]
    part = f" Ended early: {measured} of {asked} rows (workload and threads)." if measured < asked else ""
    lines = [
        f"{document['date']}, {document['processor']}, kernels for {document['instruction_set']}; {versions}. "
        f"{protocol['processes']} processes of each side in turn, {protocol['seconds']} s a workload.{part}",
    ]
    for machine in document["machines"]:
        levels = ", ".join(f"{l['name']} {l['update_rate'] * 1e-9:.0f} GB/s" for l in machine["levels"])
        lines.append(
            f"{machine['threads']} thread{'s' * (machine['threads'] > 1)}: {machine['float32_flops'] * 1e-9:.0f} "
            f"GFLOP/s float32, {machine['float64_flops'] * 1e-9:.0f} float64, {machine['bfloat16_flops'] * 1e-9:.0f} "
            f"bfloat16; {levels}.")
    lines.append(f"The sides agree in {agree} of {len(rows)} rows; {met} reach their bar; memory is at most 0.7 of "
                 f"PyTorch's in {light} of {len(memory)}.")
    if len(counts) > 1:
        lines.append(f"Slower by more than 5 % on {counts[-1]} threads than on {counts[0]}: "
                     f"{', '.join(slower) or 'nothing'}.")
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
