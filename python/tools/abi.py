"""Writes _abi.py, the C interface as ctypes sees it, from include/onnxplain.h.

    python abi.py --cc cc --header include/onnxplain.h --out _abi.py

Struct layouts, enumerations and signatures are never typed a second time: what this finds in the header is
all that the package knows of the library. tests/test_abi.py holds sizes and offsets against the compiler's.
"""

import argparse
import pathlib
import re
import subprocess

from pycparser import c_ast, c_parser

# The header includes <stddef.h> and <stdint.h> for these only.
PLAIN = {
    "size_t": "c_size_t",
    "int32_t": "c_int32",
    "uint8_t": "c_uint8",
    "uint32_t": "c_uint32",
    "int64_t": "c_int64",
    "uint64_t": "c_uint64",
}
BASIC = {"int": "c_int", "double": "c_double", "float": "c_float", "char": "c_char"}


def preprocess(cc, header):
    """The header's declarations, with macros replaced, and its macros that are numbers."""
    text = re.sub(r"^#include <.*>$", "", header.read_text(), flags=re.M)
    call = [*cc.split(), "-x", "c", "-U__GNUC__", "-E"]
    plain = subprocess.run([*call, "-P", "-"], input=text, capture_output=True, text=True, check=True).stdout
    macros = dict(re.findall(r"^#define (OXP_\w+) (\d+)$", text, flags=re.M))
    return "".join(f"typedef int {name};\n" for name in PLAIN) + plain, macros


class Interface:
    """The header as lines of Python."""

    def __init__(self, text):
        self.opaque, self.enums, self.structs = set(), {}, {}
        self.callbacks, self.functions = {}, {}
        for node in c_parser.CParser().parse(text).ext:
            if isinstance(node, c_ast.Typedef):
                self.typedef(node)
            elif isinstance(node, c_ast.Decl) and isinstance(node.type, c_ast.FuncDecl):
                self.functions[node.name] = self.function(node.type)
            else:
                raise SystemExit(
                    f"abi.py: cannot read this declaration of {node.name or '?'} at {node.coord}"
                )

    def typedef(self, node):
        kind = node.type.type if isinstance(node.type, c_ast.TypeDecl) else None
        if node.name in PLAIN:
            return
        if isinstance(kind, c_ast.Enum):
            self.enums[node.name] = self.values(kind)
        elif isinstance(kind, c_ast.Struct) and kind.decls:
            self.structs[node.name] = [(d.name, self.type(d.type)) for d in kind.decls]
        elif isinstance(kind, c_ast.Struct):
            self.opaque.add(node.name)
        elif isinstance(node.type, c_ast.PtrDecl) and isinstance(node.type.type, c_ast.FuncDecl):
            self.callbacks[node.name] = self.callback(node.type.type)
        else:
            raise SystemExit(f"abi.py: cannot read the type {node.name} at {node.coord}")

    def values(self, enum):
        """{name: value}, names without the prefix they share."""
        found, following = {}, 0
        for item in enum.values.enumerators:
            if item.value is not None:
                sign = -1 if isinstance(item.value, c_ast.UnaryOp) and item.value.op == "-" else 1
                following = sign * int((item.value.expr if sign < 0 else item.value).value)
            found[item.name] = following
            following += 1
        words = [name.split("_") for name in found]
        shared = 0
        while all(len(w) > shared + 1 and w[shared] == words[0][shared] for w in words):
            shared += 1
        return {"_".join(w[shared:]): value for w, value in zip(words, found.values(), strict=True)}

    def arguments(self, function):
        decls = function.args.params if function.args else []
        types = [self.type(d.type) for d in decls]
        return [] if types == ["None"] else types

    def function(self, decl):
        return (
            self.type(decl.type),
            self.arguments(decl),
            [d.name for d in (decl.args.params if decl.args else [])],
        )

    def callback(self, decl):
        return f"CFUNCTYPE({', '.join([self.type(decl.type), *self.arguments(decl)])})"

    def type(self, node):
        """A ctypes expression."""
        if isinstance(node, c_ast.ArrayDecl):
            return f"{self.type(node.type)} * {int(node.dim.value)}"
        if isinstance(node, c_ast.PtrDecl):
            return self.pointer(node.type)
        name = " ".join(node.type.names)
        if name == "void":
            return "None"
        if name in self.enums:
            return "c_int"
        if name in self.structs or name in self.callbacks:
            return name
        return PLAIN.get(name) or BASIC[name]

    def pointer(self, to):
        if isinstance(to, c_ast.FuncDecl):
            return self.callback(to)
        if isinstance(to, c_ast.PtrDecl):
            return f"POINTER({self.pointer(to.type)})"
        name = " ".join(to.type.names)
        if name == "void" or name in self.opaque:
            return "c_void_p"
        return "c_char_p" if name == "char" else f"POINTER({self.type(to)})"


def class_name(name):
    return "".join(word.capitalize() for word in name.removeprefix("oxp_").split("_"))


HEADER = '''"""The C interface as ctypes sees it. Made from include/onnxplain.h by python/tools/abi.py."""

from ctypes import (
    CFUNCTYPE,
    POINTER,
    Structure,
    c_char,
    c_char_p,
    c_double,
    c_int,
    c_int32,
    c_int64,
    c_size_t,
    c_uint32,
    c_uint64,
    c_void_p,
)
from enum import IntEnum
from typing import Any, Final
'''


def lines(interface, macros):
    yield HEADER
    version = ".".join(macros[f"OXP_VERSION_{part}"] for part in ("MAJOR", "MINOR", "PATCH"))
    yield f'VERSION: Final = "{version}"\nMAX_RANK: Final = {macros["OXP_MAX_RANK"]}'
    for name, values in interface.enums.items():
        yield f"\n\nclass {class_name(name)}(IntEnum):"
        yield from (f"    {key} = {value}" for key, value in values.items())
    for name, text in interface.callbacks.items():
        yield f"\n\n{name} = {text}"
    for name, fields in interface.structs.items():
        yield f"\n\nclass {name}(Structure):\n    _fields_ = ["
        yield from (f'        ("{field}", {text}),' for field, text in fields)
        yield "    ]"
    yield "\n\nFUNCTIONS: Final[dict[str, tuple[Any, tuple[Any, ...]]]] = {"
    for name, (result, arguments, names) in interface.functions.items():
        yield f"    # {name}({', '.join(n or '' for n in names)})"
        yield f'    "{name}": ({result}, ({"".join(a + ", " for a in arguments).strip()})),'
    yield "}"


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--cc", default="cc")
    args.add_argument("--header", type=pathlib.Path, required=True)
    args.add_argument("--out", type=pathlib.Path, required=True)
    args = args.parse_args()
    text, macros = preprocess(args.cc, args.header)
    made = "\n".join(lines(Interface(text), macros)) + "\n"
    args.out.write_text(made)


if __name__ == "__main__":
    main()
