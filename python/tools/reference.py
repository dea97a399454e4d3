"""Writes docs/python.md, the package's reference, from its signatures, docstrings and the library's methods.

    PYTHONPATH=build/python python python/tools/reference.py [--check]

--check changes nothing and fails when the page is stale.
"""

import inspect
import pathlib
import re
import sys

import onnxplain as ox
from onnxplain._methods import RESERVED

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs/python.md"
CLASSES = (ox.Model, ox.Result, ox.Comparison, ox.Input)
FUNCTIONS = (ox.compare, ox.methods, ox.method, ox.build_info, ox.colormaps)
INTRO = """# The Python package
<!-- Made from the package by python/tools/reference.py (make docs): do not edit. -->

[tutorial.md](tutorial.md) shows how it is used; this page lists all of it. Arrays in results are read-only
views of the library's memory, and keep it alive. Calls let other threads run; any number of them may use a
model.
"""


def call(name, function, skip=1):
    """A signature on one line, without annotations; of a class, that of making one."""
    parameters = list(inspect.signature(function).parameters.values())[skip:]
    if parameters and parameters[-1].name == "method_parameters" and not name.endswith(".explain"):
        parameters = [p for p in parameters[:-1] if p.kind is not p.KEYWORD_ONLY or p.name not in RESERVED]
        parameters.append(inspect.Parameter("options", inspect.Parameter.VAR_KEYWORD))
    words, star = [], False
    for p in parameters:
        if p.kind is p.VAR_KEYWORD:
            words.append(f"**{p.name}")
            continue
        if p.kind is p.KEYWORD_ONLY and not star:
            star = True
            words.append("*")
        words.append(p.name if p.default is p.empty else f"{p.name}={p.default!r}")
    return f"{name}({', '.join(words)})"


def text(thing):
    doc = inspect.getdoc(thing) or ""
    return doc.split("\n\nMethods:\n")[0].strip()


def members(cls):
    """Public names in the order of the source, those of the base classes first."""
    seen = []
    for base in reversed(cls.__mro__):
        if base.__module__.startswith("onnxplain"):
            seen += [name for name in vars(base) if not name.startswith("_") and name not in seen]
    for name in seen:
        raw = inspect.getattr_static(cls, name)
        if isinstance(raw, property) or inspect.isfunction(raw):
            yield name, raw


def of_class(cls):
    word = cls.__name__.lower()
    yield f"## {cls.__name__}\n"
    if cls is ox.Model:
        yield f"```python\n{call('onnxplain.Model', cls.__init__)}\n```\n"
    yield text(cls) + "\n"
    for name, raw in members(cls):
        if isinstance(raw, property):
            yield f"**`{word}.{name}`** {text(raw)}\n"
        else:
            yield f"```python\n{call(f'{word}.{name}', raw)}\n```\n"
            yield text(raw) + "\n"


def records():
    """Plain data: fields with the comments behind them."""
    yield "## Plain data\n"
    for name in ox.__all__:
        cls = getattr(ox, name)
        if not (hasattr(cls, "_fields") or hasattr(cls, "__dataclass_fields__")):
            continue
        yield f"**{name}**: {text(cls).splitlines()[0]}\n"
        lines = [line.strip() for line in inspect.getsource(cls).splitlines()]
        for i, line in enumerate(lines):
            found = re.fullmatch(r"(\w+): ([^#=]+?)(?: = [^#]+)?(?:\s*#: (.*))?", line)
            if found:
                above = lines[i - 1].removeprefix("#: ") if lines[i - 1].startswith("#: ") else ""
                said = found[3] or above
                yield f"- `{found[1]}`: {found[2]}{'. ' + said if said else ''}"
        yield ""


def errors():
    yield "## Errors\n"
    yield text(ox.Error) + " `code`, `stage`, `node`, `op` and `offset` say where.\n"
    for cls in ox.Error.__subclasses__():
        also = [base.__name__ for base in cls.__bases__ if base is not ox.Error]
        yield f"- `{cls.__name__}`{' (also ' + also[0] + ')' if also else ''}: {text(cls)}"
    yield ""


def methods():
    yield "## Methods and their parameters\n"
    yield "What they compute is in [methods.md](methods.md). A parameter is a keyword of `explain`; one"
    yield "whose name `explain` uses itself gets a trailing underscore.\n"
    yield "| method | parameters |\n|---|---|"
    for m in ox.methods():
        words = [f"{p.keyword}={p.default!r}" for p in m.parameters]
        yield f"| `{m.name}` | {', '.join(f'`{w}`' for w in words)} |"


def lines():
    yield INTRO
    for cls in CLASSES:
        yield from of_class(cls)
    yield "## Functions\n"
    for function in FUNCTIONS:
        yield f"```python\n{call('onnxplain.' + function.__name__, function, 0)}\n```\n"
        yield text(function) + "\n"
    yield from records()
    yield from errors()
    yield from methods()


def main():
    page = "\n".join(lines()) + "\n"
    if "--check" not in sys.argv:
        PAGE.write_text(page)
    elif not PAGE.exists() or PAGE.read_text() != page:
        print("docs/python.md is stale: make docs")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
