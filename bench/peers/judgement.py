"""Whether results agree and reach their bars. Of the standard library alone, so that it can be tested anywhere."""

TOLERANCE = {"float32": 1e-4, "float64": 1e-9, "bfloat16": 2e-2}
NEAR_FLOOR = 1.2  # a peer this near to the floor can hardly be beaten


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
        if not abs(a - b) <= tolerance * scale:
            return f"number {i} is {a:.8g} and {b:.8g}"
    return None


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
            if not row["ratios"]:  # ours alone was asked for
                continue
            met = peer in row["ratios"] and reached(row, peer, wanted)
            met = met or ("or_floor" in bar and floor and ours <= bar["or_floor"] * floor)
        if not met:
            unmet.append(f"{name} {wanted}")
    return unmet
