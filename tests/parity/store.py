"""What was computed before, under the hash of all that it depends on, so that an interrupted run goes on where it stopped.

A peer's arrays depend on the model, its inputs, the row as it is written in rows.py and the modules behind it; an
error of onnxplain on those arrays and on the built library.
"""

import ast
import hashlib
import inspect
import json
import pathlib
import sys

import numpy as np
from cases import WORK

HERE = pathlib.Path(__file__).parent
SHARED = [HERE / "net.py", HERE / "noise.py", HERE.parents[1] / "tools/parity-requirements.txt"]
CACHE = WORK / "cache"


def digest(*parts):
    h = hashlib.sha256()
    for part in parts:
        part = part if isinstance(part, bytes) else str(part).encode()
        h.update(len(part).to_bytes(8, "little") + part)
    return h.hexdigest()[:32]


def row_texts():
    """The source of every row's peer."""
    text = (HERE / "rows.py").read_text()
    listed = next(n for n in ast.parse(text).body if ast.unparse(n).startswith("ROWS ="))
    return [ast.get_source_segment(text, e.args[2]) for e in listed.value.elts]


def case_key(case):
    files = [pathlib.Path(f) for f in (case.path, *case.feeds.values())]
    return digest(repr(case), *[f.read_bytes() for f in files])


class Store:
    def __init__(self, ours, fresh):
        self.fresh, self.ours = fresh, digest(*[f.read_bytes() for f in ours])
        self.sources = row_texts()
        self.cases, self.files = {}, {}
        CACHE.mkdir(parents=True, exist_ok=True)
        times = CACHE / "seconds.json"
        self.seconds = json.loads(times.read_text()) if times.exists() else {}

    def module(self, function):
        file = inspect.getsourcefile(sys.modules[function.__module__])
        return self.files.setdefault(file, pathlib.Path(file).read_bytes())

    def peer_key(self, index, row, case):
        if case.name not in self.cases:
            self.cases[case.name] = case_key(case)
        shared = [self.files.setdefault(str(f), f.read_bytes()) for f in SHARED]
        source = self.module(row.run)
        set_up = (self.sources[index], row.method, row.set, row.flags, row.sign)
        return digest(*set_up, self.cases[case.name], source, *shared)

    def result_path(self, peer_key):
        return CACHE / f"{digest(peer_key, self.ours)}.json"

    def result(self, peer_key):
        path = self.result_path(peer_key)
        return json.loads(path.read_text()) if path.exists() and not self.fresh else None

    def keep_result(self, peer_key, name, result, seconds):
        self.result_path(peer_key).write_text(json.dumps(result))
        self.seconds[name] = seconds
        (CACHE / "seconds.json").write_text(json.dumps(self.seconds))

    def arrays(self, peer_key):
        path = CACHE / f"{peer_key}.npz"
        if not path.exists() or self.fresh:
            return None
        with np.load(path) as kept:
            return [kept[name] for name in sorted(kept.files)]

    def keep_arrays(self, peer_key, arrays):
        np.savez(CACHE / f"{peer_key}.npz", **{f"{i:02}": a for i, a in enumerate(arrays)})
