"""Finding the subject that a user names: FILE.py:NAME."""

from __future__ import annotations

import functools
import importlib.util
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oracles.numpy_voice import NumpyVoice
from oracles.operation import Operation
from oracles.panel import open_voice
from oracles.voice import Voice

MINT = "mint"


class BadSubject(ValueError):
    """A subject that cannot be used; the message is one line."""


@dataclass(frozen=True)
class Subject:
    """The implementation under test: Mint's own layers, or a callable in a file."""

    name: str = MINT  # or FILE.py:NAME
    framework: str = "numpy"

    def check(self) -> None:
        """Raise `BadSubject` unless the file is there; nothing is imported."""
        if self.name == MINT:
            if self.framework != "numpy":
                raise BadSubject("--framework: Mint is written in numpy; name a --subject of your own")
            return
        file, colon, function = self.name.rpartition(":")
        if not colon or not file or not function.isidentifier():
            raise BadSubject(f"subject: expected FILE.py:NAME, got {self.name!r}")
        path = Path(file)
        if not path.is_file():
            raise BadSubject(f"subject: there is no file {file}")
        try:
            path.read_bytes()
        except OSError as error:
            raise BadSubject(f"subject: {file} cannot be read: {error.strerror}") from None

    def load(self) -> Callable[..., Any] | None:
        """Import the file and return the callable (None for Mint); raises `BadSubject`."""
        self.check()
        if self.name == MINT:
            return None
        file, _, function = self.name.rpartition(":")
        path = Path(file).resolve()
        spec = importlib.util.spec_from_file_location(path.stem, path)
        if spec is None or spec.loader is None:
            raise BadSubject(f"subject: {file} is not a Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules.setdefault(path.stem, module)
        sys.path.insert(0, str(path.parent))  # as if it were run: it may import its neighbours
        try:
            spec.loader.exec_module(module)
        except BaseException as error:
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            raise BadSubject(f"subject: importing {file} raised {reason}") from None
        found = getattr(module, function, None)
        if found is None:
            names = [n for n, v in vars(module).items() if callable(v) and not n.startswith("_")]
            raise BadSubject(f"subject: {file} has no {function}; it has {', '.join(names) or 'no function'}")
        if not callable(found):
            raise BadSubject(f"subject: {function} in {file} is a {type(found).__name__}, expected a callable")
        return found  # type: ignore[no-any-return]

    def voice(self, function: Callable[..., Any] | None, operation: Operation) -> Voice:
        """The voice of the loaded subject for one operation."""
        if function is None:
            return NumpyVoice(operation.function)
        return open_voice(self.framework, _told_apart(function))


def _told_apart(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, which now says that it does not support what it has no parameter for.

    That a kernel has no `groups`, or no bias, is no bug of it. Arrays that are left out and come last are not passed.
    One that takes any keyword gets them all: that it ignores what it does not know is a bug.
    """
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # a builtin or an extension may have none to read
        return function
    kinds = [parameter.kind for parameter in parameters if parameter.name != "out"]  # no place for an input
    positional = kinds.count(inspect.Parameter.POSITIONAL_ONLY) + kinds.count(inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = {parameter.name for parameter in parameters}

    @functools.wraps(function)
    def supporting(*arrays: Any, **hyper: Any) -> Any:
        given = list(arrays)
        if inspect.Parameter.VAR_POSITIONAL not in kinds:
            while len(given) > positional and given[-1] is None:
                given.pop()
            if len(given) > positional:
                raise NotImplementedError(f"it takes {positional} arrays")
        unknown = [name for name in hyper if name not in names]
        if unknown and inspect.Parameter.VAR_KEYWORD not in kinds:
            raise NotImplementedError(f"it takes no {', '.join(unknown)}")
        return function(*given, **hyper)

    return supporting
