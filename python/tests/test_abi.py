"""The generated interface against the C compiler and the library itself."""

import ctypes
import os
import subprocess

from conftest import ROOT

from onnxplain import _abi, _library

HEADER = ROOT / "include/onnxplain.h"


def compiled(tmp_path, lines):
    """What the compiler says: a program's output, line by line."""
    source, program = tmp_path / "probe.c", tmp_path / "probe"
    body = "\n    ".join(lines)
    source.write_text(
        f'#include "{HEADER}"\n#include <stdio.h>\nint main(void)\n{{\n    {body}\n    return 0;\n}}\n'
    )
    compiler = os.environ.get("CC", "cc").split()
    subprocess.run([*compiler, "-std=c11", str(source), "-o", str(program)], check=True)
    return subprocess.run([str(program)], capture_output=True, text=True, check=True).stdout.splitlines()


def structs():
    return [(n, s) for n, s in vars(_abi).items() if isinstance(s, type) and issubclass(s, ctypes.Structure)]


def test_layouts_are_the_compilers(tmp_path):
    probes, ours = [], []
    for name, struct in structs():
        if name == "Structure":
            continue
        probes.append(f'printf("{name} %zu\\n", sizeof({name}));')
        ours.append(f"{name} {ctypes.sizeof(struct)}")
        for field, _ in struct._fields_:
            size = f"sizeof((({name} *)0)->{field})"
            probes.append(f'printf("{name}.{field} %zu %zu\\n", offsetof({name}, {field}), {size});')
            at = getattr(struct, field)
            ours.append(f"{name}.{field} {at.offset} {at.size}")
    assert len(ours) > 80
    assert compiled(tmp_path, probes) == ours


def test_numbers_are_the_compilers(tmp_path):
    prefixes = {"Status": "OXP_", "Stage": "OXP_STAGE_", "Dtype": "OXP_", "ParamType": "OXP_PARAM_"}
    probes, ours = [], []
    for name, prefix in prefixes.items():
        for member in getattr(_abi, name):
            probes.append(f'printf("{prefix}{member.name} %d\\n", (int){prefix}{member.name});')
            ours.append(f"{prefix}{member.name} {member.value}")
    probes.append('printf("%d\\n", OXP_MAX_RANK);')
    assert compiled(tmp_path, probes) == [*ours, str(_abi.MAX_RANK)]


def test_every_exported_function_has_a_signature():
    path = _library.lib._name
    listed = subprocess.run(
        ["nm", "-D", "--defined-only", path], capture_output=True, text=True, check=True
    ).stdout
    exported = {line.split()[-1].split("@")[0] for line in listed.splitlines()}
    assert {name for name in exported if name.startswith("oxp_")} == set(_abi.FUNCTIONS)
