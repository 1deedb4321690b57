"""The turns of a comparison as they are taken, in a file: what a crash or Ctrl-C ends can go on."""

import json
import time


class Turns:
    """A file of JSON lines: first what was asked for, then each turn's results when it has ended."""

    def __init__(self, path, asked, resume):
        self.path = path
        self.taken = {}  # key: what was filed under it
        if resume:
            self._read(asked)
        else:
            if path.exists():  # perhaps hours of work that somebody wants to go on with
                path.replace(path.with_suffix(".before.jsonl"))
            path.write_text(json.dumps(asked) + "\n")

    def _read(self, asked):
        if not self.path.exists():
            raise SystemExit(f"--resume: there is no {self.path}; a first run writes it")
        first, *lines = self.path.read_text().splitlines() or ["{}"]
        before = json.loads(first)
        different = [name for name in asked if asked[name] != before.get(name)]
        if different:
            was = ", ".join(f"{name} was {before.get(name)!r} and is {asked[name]!r}" for name in different)
            raise SystemExit(f"--resume: the run to go on with was another one: {was}")
        for line in lines:
            try:
                turn = json.loads(line)
            except json.JSONDecodeError:  # the last line of a process that was killed while it wrote
                continue
            if not any("error" in result for result in turn["results"]):  # what failed has another try
                self.taken[tuple(turn["turn"])] = turn
        # Without half a line at the end, to which the next one would be appended.
        whole = self.path.with_suffix(".whole")
        whole.write_text("\n".join([first, *map(json.dumps, self.taken.values())]) + "\n")
        whole.replace(self.path)

    def seconds(self):
        """What all turns took, without the time between a stop and the run that went on."""
        return sum(turn["took"] for turn in self.taken.values())

    def take(self, key, run):
        """The results of the turn `key`: those on file, or what `run()` returns, which is filed first."""
        if key not in self.taken:
            start = time.time()
            turn = {"turn": key, "results": run(), "took": time.time() - start}
            with self.path.open("a") as file:
                file.write(json.dumps(turn) + "\n")
            self.taken[key] = turn
        return self.taken[key]["results"]
