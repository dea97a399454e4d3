"""The library through its Python package: just what the zoo asks of it."""

import os
import pathlib
import sys


class Refused(Exception):
    pass


class Library:
    """The package beside `path` in a build folder, with that library."""

    def __init__(self, path):
        build = pathlib.Path(path).resolve().parent
        sys.path.insert(0, str(build / "python"))
        os.environ["ONNXPLAIN_LIBRARY"] = str(path)
        import onnxplain

        self.package = onnxplain

    def _ask(self, function, *args, **options):
        try:
            return function(*args, **options)
        except self.package.Error as error:
            raise Refused(str(error)) from None

    def open(self, path):
        return self._ask(self.package.Model, path)

    def run(self, model, feeds, outputs, precision):
        found = self._ask(model.run, feeds, outputs, precision=precision, threads=1)
        return [found[name] for name in outputs]

    def gradient(self, model, feeds, target, precision):
        """{tensor: dY/dtensor} of what is attributed to by default."""
        return self._ask(model.gradient, feeds, target, precision=precision, threads=1)
