"""Mutants: Mint with one small mistake, as mutmut's operators make them, and loading one beside the original.

A mutant is one edit of one function, or of one constant, of one module. What is no behaviour is left alone by rule:

* docstrings, annotations and decorators;
* what is inside a `raise`, or is only ever read there: the text of a refusal is no result;
* what names an operation or an argument in such a text: arguments for the parameters in `TEXT_PARAMETERS`;
* what NumPy warns of (`np.errstate`) and the order of arrays in memory (`order=`): no result depends on them;
* `strict=` of `zip`: an assertion;
* functions that are called inside `raise` alone.
"""

from __future__ import annotations

import ast
import importlib
import importlib.machinery
import importlib.util
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.abc import Loader, MetaPathFinder
from itertools import takewhile
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

PACKAGE = "mint"
#: Parameters that hold a word for the text of a refusal.
TEXT_PARAMETERS = frozenset({"op", "name", "lower_name", "upper_name"})

Place = tuple[int, int]  # line from 1, column from 0, in characters


class MutmutMissing(RuntimeError):
    """mutmut is not installed; the message is one line."""


@dataclass(frozen=True)
class Mutant:
    """One edit: the characters from `start` to `end` of the module's source become `text`."""

    module: str
    function: str  # `function`, `Class.method`, or the name of a constant of the module
    number: int  # among the mutants of this function
    start: int
    end: int
    text: str
    lines: tuple[int, int]  # first and last line of what runs differently
    removed: str
    added: str

    @property
    def identity(self) -> str:
        """A name that stays while the function does."""
        return f"{self.module}.{self.function}#{self.number}"

    @property
    def is_constant(self) -> bool:
        """Whether it is a constant of the module that is changed."""
        return self.function.isupper()

    @property
    def diff(self) -> str:
        """The lines that change, as in a unified diff; leading blanks tell nothing, and are the same for all."""
        removed, added = (textwrap.dedent(text).splitlines() for text in (self.removed, self.added))
        return "\n".join([*(f"-{line}" for line in removed), *(f"+{line}" for line in added)])

    def apply(self, source: str) -> str:
        """The source with the mistake in it."""
        return source[: self.start] + self.text + source[self.end :]


@cache
def module_sources() -> Mapping[str, str]:
    """The source of every module of Mint, by the module's name, the package's own left out."""
    folder = Path(importlib.import_module(PACKAGE).__file__ or "").parent
    return {f"{PACKAGE}.{file.stem}": file.read_text("utf-8") for file in sorted(folder.glob("[!_]*.py"))}


@cache
def all_mutants() -> tuple[Mutant, ...]:
    """Every mutant of every module.

    Raises `MutmutMissing` without mutmut.
    """
    sources = module_sources()
    positional = _positional_parameters(sources.values())
    return tuple(mutant for name, source in sources.items() for mutant in mutants_of(name, source, positional))


def mutants_of(module: str, source: str, positional: Mapping[str, tuple[str, ...]] | None = None) -> Iterator[Mutant]:
    """The mutants of one module, in the order of its lines.

    >>> [m.diff for m in mutants_of("mint.double", "def double(x):\\n    return 2 * x\\n")]
    ['-return 2 * x\\n+return 2 / x', '-return 2 * x\\n+return 3 * x']

    Raises `MutmutMissing` without mutmut.
    """
    offsets = _line_offsets(source)
    numbers: dict[str, int] = {}
    seen: set[tuple[int, str]] = set()
    texts = _texts(source, positional or {})
    spans = [tuple(offsets[line - 1] + column for line, column in text) for text in texts]
    for edit in _edits(source, offsets, texts):
        start, end = offsets[edit.start[0] - 1] + edit.start[1], offsets[edit.end[0] - 1] + edit.end[1]
        changed = _changed(source, start, end, edit.text)
        if any(first <= changed[0] and changed[1] <= last for first, last in spans):
            continue  # one argument of a call, say
        first = offsets[edit.start[0] - 1]
        last = offsets[edit.end[0]] - 1
        removed, added = source[first:last], source[first:start] + edit.text + source[end:last]
        function = source[offsets[edit.whole[0] - 1] : start] + edit.text + source[end : offsets[edit.whole[1]]]
        if (first, added) in seen or added == removed or not _compiles(function):
            continue
        seen.add((first, added))
        numbers[edit.function] = number = numbers.get(edit.function, 0) + 1
        yield Mutant(module, edit.function, number, start, end, edit.text, edit.lines, removed, added)


@dataclass(frozen=True)
class _Edit:
    function: str
    start: Place
    end: Place
    text: str
    lines: tuple[int, int]
    whole: tuple[int, int]  # the lines of the function


def _changed(source: str, start: int, end: int, text: str) -> tuple[int, int]:
    """The characters from `start` to `end` without those at both ends that are the same in `text`."""
    before = source[start:end]
    same = _alike(before, text)
    return start + same, end - _alike(before[same:][::-1], text[same:][::-1])


def _alike(a: str, b: str) -> int:
    """How many characters two texts begin with that are the same."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(a, b, strict=False)))


def _line_offsets(source: str) -> list[int]:
    offsets = [0]
    for line in source.splitlines(keepends=True):
        offsets.append(offsets[-1] + len(line))
    return offsets


def _compiles(code: str) -> bool:
    try:
        compile(textwrap.dedent(code), "<mutant>", "exec")
    except (SyntaxError, ValueError):
        return False
    return True


def _edits(source: str, offsets: Sequence[int], texts: Sequence[tuple[Place, Place]]) -> Iterator[_Edit]:
    try:
        import libcst as cst
        from libcst.metadata import MetadataWrapper, PositionProvider
        from mutmut.mutation.mutators import mutation_operators
    except ImportError as error:
        raise MutmutMissing(f"mint prove needs mutmut: pip install 'mint-oracles[prove]' ({error})") from None

    skipped = cst.Annotation | cst.Decorator | cst.Raise | cst.Import | cst.ImportFrom

    class Visitor(cst.CSTVisitor):
        METADATA_DEPENDENCIES = (PositionProvider,)

        def __init__(self) -> None:
            self.edits: list[_Edit] = []
            self.path: list[Any] = []

        def on_visit(self, node: cst.CSTNode) -> bool:
            if isinstance(node, skipped) or self.is_text(node) or _is_door(node):
                return False
            self.path.append(node)
            if name := self.function():
                for kind, operator in mutation_operators:
                    if isinstance(node, kind):
                        for mutated in operator(node):
                            self.add(name, node, mutated)
            return True

        def on_leave(self, original_node: cst.CSTNode) -> None:
            if self.path and self.path[-1] is original_node:
                self.path.pop()

        def place(self, node: cst.CSTNode) -> tuple[Place, Place]:
            found = self.get_metadata(PositionProvider, node)
            return (found.start.line, found.start.column), (found.end.line, found.end.column)

        def is_text(self, node: cst.CSTNode) -> bool:
            if not isinstance(node, cst.BaseExpression | cst.BaseSmallStatement | cst.BaseStatement | cst.Arg):
                return False
            start, end = self.place(node)
            return any(first <= start and end <= last for first, last in texts)

        def owner(self) -> Any:
            """The function, method or constant that is being visited."""
            _, *path = self.path
            for node in path[:3]:
                if isinstance(node, cst.FunctionDef):
                    return node
                if not isinstance(node, cst.ClassDef | cst.IndentedBlock):
                    return node
            return None

        def function(self) -> str:
            owner = self.owner()
            if isinstance(owner, cst.FunctionDef):
                names = [node.name.value for node in self.path[1:4] if isinstance(node, cst.ClassDef | cst.FunctionDef)]
                return ".".join(names[: 2 if isinstance(self.path[1], cst.ClassDef) else 1])
            if isinstance(owner, cst.SimpleStatementLine) and owner is self.path[1]:
                statement = owner.body[0]
                target = None
                if isinstance(statement, cst.AnnAssign):
                    target = statement.target
                elif isinstance(statement, cst.Assign):
                    target = statement.targets[0].target
                if isinstance(target, cst.Name) and target.value.isupper():
                    return str(target.value)
            return ""

        def add(self, name: str, node: cst.CSTNode, mutated: Any) -> None:
            (start, end), owner = self.place(node), self.owner()
            whole = self.place(owner)[0][0], self.place(owner)[1][0]
            statements = [n for n in self.path if isinstance(n, cst.SimpleStatementLine)]
            if statements:
                lines = self.place(statements[-1])[0][0], self.place(statements[-1])[1][0]
            elif any(isinstance(n, cst.Param) for n in self.path) and not any(
                isinstance(n, cst.IndentedBlock) for n in self.path[2:]
            ):
                lines = whole  # a default: it is there whichever lines run
            else:
                lines = start[0], end[0]
            here = offsets[start[0] - 1] + start[1], offsets[end[0] - 1] + end[1]
            there, bare, text = source[slice(*here)], module.code_for_node(node), module.code_for_node(mutated)
            brackets = getattr(node, "lpar", ())
            if brackets and bare.split() != there.split():
                # the parentheses around an expression belong to it, not to its place
                bare = module.code_for_node(node.with_changes(lpar=[], rpar=[]))
                if getattr(mutated, "lpar", ()) == brackets:
                    text = module.code_for_node(mutated.with_changes(lpar=[], rpar=[]))
            if bare != there:
                text = text.strip()  # nor do the blanks around an operator
            assert bare.split() == there.split(), (bare, there)
            self.edits.append(_Edit(name, start, end, text, lines, whole))

    wrapper = MetadataWrapper(cst.parse_module(source))
    module = wrapper.module
    visitor = Visitor()
    wrapper.visit(visitor)
    yield from visitor.edits


def _is_door(node: Any) -> bool:
    """Whether it is a call that mutmut leaves alone as well: its mistakes only raise."""
    import libcst as cst

    return isinstance(node, cst.Call) and isinstance(node.func, cst.Name) and node.func.value in ("len", "isinstance")


def _texts(source: str, positional: Mapping[str, tuple[str, ...]]) -> list[tuple[Place, Place]]:
    """Where there is text that only a refusal, or a reader, sees."""
    tree = ast.parse(source)
    lines = source.splitlines()
    roots = [*_plain_texts(tree, positional)]
    inside = {id(part) for root in roots for part in ast.walk(root)}
    growing = True
    while growing:
        found = [node for node in _only_read_in(tree, inside) if id(node) not in inside]
        growing = bool(found)
        roots += found
        inside |= {id(part) for root in found for part in ast.walk(root)}

    def place(line: int, offset: int) -> Place:
        # ast counts bytes
        return line, len(lines[line - 1].encode()[:offset].decode())

    return [
        (place(node.lineno, node.col_offset), place(node.end_lineno or 0, node.end_col_offset or 0)) for node in roots
    ]


def _plain_texts(tree: ast.Module, positional: Mapping[str, tuple[str, ...]]) -> Iterator[Any]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) or (
            isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        ):
            yield node
        elif isinstance(node, ast.Call):
            function = node.func
            if isinstance(function, ast.Attribute) and function.attr == "errstate":
                yield node
            yield from (keyword for keyword in node.keywords if keyword.arg in ("order", "strict"))
            if isinstance(function, ast.Attribute) and not isinstance(function.value, ast.Name):
                continue
            name = f"{function.value.id}.{function.attr}" if isinstance(function, ast.Attribute) else ""  # type: ignore[attr-defined]
            if isinstance(function, ast.Name):
                name = function.id
            for argument, parameter in zip(node.args, positional.get(name, ()), strict=False):
                if parameter in TEXT_PARAMETERS:
                    yield argument
            yield from (k for k in node.keywords if k.arg in TEXT_PARAMETERS and name in positional)


def _only_read_in(tree: ast.Module, inside: set[int]) -> Iterator[Any]:
    """Assignments to names, and functions, that are read nowhere but in the parts that are known."""
    for function in tree.body:
        if not isinstance(function, ast.FunctionDef):
            continue
        if function.name.startswith("_") and _reads(tree, {function.name}) <= inside and _reads(tree, {function.name}):
            yield function
        for node in ast.walk(function):
            targets = node.targets if isinstance(node, ast.Assign) else []
            names = {target.id for target in targets if isinstance(target, ast.Name)}
            if names and len(names) == len(targets) and _reads(function, names) <= inside:
                yield node


def _reads(tree: ast.AST, names: set[str]) -> set[int]:
    return {
        id(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and node.id in names and isinstance(node.ctx, ast.Load)
    }


def _positional_parameters(sources: Any) -> dict[str, tuple[str, ...]]:
    """The positional parameters of Mint's functions, by the names by which other modules call them."""
    found: dict[str, tuple[str, ...]] = {}
    for name, source in zip(module_sources(), sources, strict=True):
        for node in ast.parse(source).body:
            if isinstance(node, ast.FunctionDef):
                parameters = tuple(a.arg for a in (*node.args.posonlyargs, *node.args.args))
                found[node.name] = parameters
                found[f"{name.rpartition('.')[2]}.{node.name}"] = parameters
    return found


class _Finder(MetaPathFinder, Loader):
    """Finds one module, and gives it other code."""

    def __init__(self, module: str, code: CodeType) -> None:
        self.module, self.code = module, code

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        """The specification of the one module."""
        del path, target
        return importlib.util.spec_from_loader(name, self) if name == self.module else None

    def exec_module(self, module: ModuleType) -> None:
        """Run the other code."""
        exec(self.code, vars(module))


@contextmanager
def _apart() -> Iterator[None]:
    """Mint's modules set aside, so that they are imported afresh; afterwards the originals are back."""

    def ours() -> list[str]:
        return [name for name in sys.modules if name.partition(".")[0] == PACKAGE]

    kept = {name: sys.modules.pop(name) for name in ours()}
    try:
        yield
    finally:
        for name in ours():
            del sys.modules[name]
        sys.modules.update(kept)


def load(function: Callable[..., Any], mutant: Mutant | None = None) -> Callable[..., Any]:
    """The function of the same name in a Mint of its own that has the mistake; what the import raises is passed on.

    Only the function's module is imported, with what it imports itself.
    """
    finders: list[MetaPathFinder] = []
    if mutant is not None:
        source = mutant.apply(module_sources()[mutant.module])
        # the file is named, so that what runs can be told by its lines
        finders = [_Finder(mutant.module, compile(source, f"<{mutant.identity}>", "exec"))]
    package = importlib.util.find_spec(PACKAGE)
    assert package is not None
    with _apart():
        # the package's own file imports every family
        sys.modules[PACKAGE] = importlib.util.module_from_spec(package)
        sys.meta_path[:0] = finders
        try:
            return getattr(importlib.import_module(function.__module__), function.__name__)  # type: ignore[no-any-return]
        finally:
            for finder in finders:
                sys.meta_path.remove(finder)
