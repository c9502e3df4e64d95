"""The doctests of a module that needs an optional package wait for it."""

from importlib.util import find_spec

collect_ignore = [] if find_spec("mutmut") else ["oracles/mutant.py"]
