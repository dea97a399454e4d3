"""The library through ctypes: just what the zoo asks of it."""

import ctypes as c

import numpy as np

TYPES = {1: np.float32, 2: np.uint8, 3: np.int8, 6: np.int32, 7: np.int64, 9: np.bool_, 10: np.float16, 11: np.float64}
NUMBERS = {np.dtype(t): n for n, t in TYPES.items()}


class Array(c.Structure):
    _fields_ = [("name", c.c_char_p), ("dtype", c.c_int), ("rank", c.c_int32), ("dims", c.c_int64 * 8), ("data", c.c_void_p)]


class Error(c.Structure):
    _fields_ = [
        ("code", c.c_int),
        ("stage", c.c_int),
        ("node", c.c_char * 96),
        ("op", c.c_char * 32),
        ("offset", c.c_uint64),
        ("message", c.c_char * 1024),
    ]


class RunOptions(c.Structure):
    _fields_ = [("struct_size", c.c_size_t), ("threads", c.c_int), ("precision", c.c_char_p)]


class ExplainOptions(c.Structure):
    _fields_ = [
        ("struct_size", c.c_size_t),
        ("method", c.c_char_p),
        ("params", c.c_void_p),
        ("n_params", c.c_size_t),
        ("target", c.c_char_p),
        ("contrast", c.c_char_p),
        ("space", c.c_char_p),
        ("layers", c.c_void_p),
        ("n_layers", c.c_size_t),
        ("wrt", c.c_void_p),
        ("n_wrt", c.c_size_t),
        ("threads", c.c_int),
        ("precision", c.c_char_p),
        ("max_memory", c.c_uint64),
        ("top_k", c.c_int),
        ("no_optimise", c.c_int),
        ("predict_only", c.c_int),
        ("progress", c.c_void_p),
        ("progress_user", c.c_void_p),
        ("baselines", c.c_void_p),
        ("n_baselines", c.c_size_t),
    ]


class Map(c.Structure):
    _fields_ = [("tensor", c.c_char_p), ("attribution", Array), ("map", Array), ("reduction", c.c_char_p)]


class Refused(Exception):
    pass


def numpy_of(a):
    shape = list(a.dims[: a.rank])
    dtype = np.dtype(TYPES[a.dtype])
    n = int(np.prod(shape, dtype=np.int64))
    bytes_ = c.string_at(a.data, n * dtype.itemsize) if n else b""
    return np.frombuffer(bytes_, dtype).reshape(shape)


class Library:
    def __init__(self, path):
        self.lib = c.CDLL(str(path))
        self.lib.oxp_values_get.restype, self.lib.oxp_values_get.argtypes = Array, [c.c_void_p, c.c_size_t]
        self.lib.oxp_result_map.restype, self.lib.oxp_result_map.argtypes = Map, [c.c_void_p, c.c_size_t]
        for name in ("oxp_result_map_count", "oxp_values_count"):
            getattr(self.lib, name).restype = c.c_size_t

    def call(self, name, *args):
        error = Error()
        if getattr(self.lib, name)(*args, c.byref(error)) != 0:
            raise Refused(error.message.decode(errors="replace"))

    def open(self, path):
        model = c.c_void_p()
        self.call("oxp_model_open", c.byref(model), str(path).encode(), None)
        return model

    def arrays(self, feeds):
        kept = [(name, np.ascontiguousarray(value)) for name, value in feeds.items()]
        out = (Array * len(kept))()
        for a, (name, value) in zip(out, kept):
            a.name, a.dtype, a.rank, a.data = name.encode(), NUMBERS[value.dtype], value.ndim, value.ctypes.data
            a.dims[: value.ndim] = value.shape
        return out, kept

    def run(self, model, feeds, outputs, precision):
        values = c.c_void_p()
        arrays, kept = self.arrays(feeds)
        names = (c.c_char_p * len(outputs))(*[o.encode() for o in outputs])
        options = RunOptions(c.sizeof(RunOptions), 1, precision.encode())
        self.call("oxp_run", c.byref(values), model, arrays, c.c_size_t(len(arrays)), names, c.c_size_t(len(outputs)), c.byref(options))
        found = [numpy_of(self.lib.oxp_values_get(values, c.c_size_t(i))) for i in range(len(outputs))]
        self.lib.oxp_values_free(values)
        return found

    def gradient(self, model, feeds, target, precision):
        """{tensor: dY/dtensor} of what is attributed to by default."""
        options = ExplainOptions()
        options.struct_size, options.threads = c.sizeof(ExplainOptions), 1
        options.method, options.space, options.precision = b"saliency", b"output", precision.encode()
        options.target = target.encode()
        explainer, result = c.c_void_p(), c.c_void_p()
        arrays, kept = self.arrays(feeds)
        self.call("oxp_explainer_new", c.byref(explainer), model, c.byref(options))
        try:
            self.call("oxp_explain", c.byref(result), explainer, arrays, c.c_size_t(len(arrays)), None, None)
            maps = [self.lib.oxp_result_map(result, c.c_size_t(i)) for i in range(self.lib.oxp_result_map_count(result))]
            found = {m.tensor.decode(): numpy_of(m.attribution) for m in maps}
            self.lib.oxp_result_free(result)
        finally:
            self.lib.oxp_explainer_free(explainer)
        return found
