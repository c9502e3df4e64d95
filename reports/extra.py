"""The optional dependencies of the page, imported only when a page is built."""

from importlib import import_module
from typing import Any


class MissingExtra(ImportError):
    """A library of the optional extra `report` is not installed; the message says how to install it."""


def extra(module: str) -> Any:
    """The module of this name.

    Raises: MissingExtra, in one line, if it cannot be imported.

    >>> extra("json").__name__
    'json'
    >>> extra("no_such_module")
    Traceback (most recent call last):
        ...
    reports.extra.MissingExtra: no_such_module is not installed: pip install 'mint-oracles[report]'
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingExtra(f"{module} is not installed: pip install 'mint-oracles[report]'") from error
