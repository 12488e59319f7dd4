"""The size of the house, room by room, and what is larger than it may be: `make size`.

    python benchmarks/size.py              # the figures
    python benchmarks/size.py --check      # only what breaks a limit; exit code 1 if anything does

The house is the face (`__init__.py`) and the six rooms; the product is the house without
`testing/`. A line of code is a line that is neither blank nor docstring nor comment.

The limits of files, classes, functions and constructors do not apply to the contract kits in
`testing/contracts/`, which are tables of rules. A constructor is limited if its class works with
what it is given: an `__init__` written by hand, an attrs class that can change, or a frozen attrs
class with a port (a protocol in `ports/`) among its fields. Other frozen classes are values, and
the number of their fields is free. Imports inside functions are part of a circle, and imports for
type checkers alone are not. A text of several lines that is no docstring may be wider than the
limit of columns: it is a table or what a program prints.
"""

from __future__ import annotations

import argparse
import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

HOUSE = Path(__file__).parents[1]
ROOMS = ("face", "domain", "ports", "delivery", "adapters", "testing", "bootstrap")
BESIDE = ("tests", "examples", "benchmarks", "docs")
EXEMPT = "testing/contracts/"

PRODUCT_LINES, PRODUCT_CODE = 20_000, 14_000
SHARE_OF_A_ROOM = 0.38
FILE_LINES, CLASS_LINES, FUNCTION_LINES, PARAMETERS = 500, 300, 50, 7
COLUMNS = 100
LARGEST = 10

# Tokens that make no line a line of code.
SILENT = {
    tokenize.COMMENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
    tokenize.INDENT,
    tokenize.NEWLINE,
    tokenize.NL,
}

# A remark for a tool, which must stand on the line that it is about.
PRAGMA = re.compile(r"  # (?:type: ignore|noqa).*$")

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Measure:
    """How large one thing is, in the unit of its kind."""

    where: str
    size: int


@dataclass(frozen=True)
class Breach:
    """One thing that is larger than it may be."""

    kind: str
    where: str
    why: str

    def __str__(self) -> str:
        return f"{self.kind} {self.where}: {self.why}"


@dataclass
class File:
    """What one module holds."""

    path: str
    text: str
    tree: ast.Module
    code: int = 0
    classes: list[tuple[ast.ClassDef, str]] = field(default_factory=list)
    functions: list[tuple[Function, str]] = field(default_factory=list)

    @property
    def room(self) -> str:
        """The first folder of its path."""
        return self.path.split("/")[0] if "/" in self.path else "face"

    @property
    def module(self) -> str:
        """Its name as it is imported, below the package."""
        return self.path.removesuffix(".py").removesuffix("__init__").strip("/").replace("/", ".")

    @property
    def lines(self) -> int:
        """Its lines of any kind."""
        return self.text.count("\n")


# ---- reading


def read(path: Path, house: Path) -> File:
    """Parse one module and count its code."""
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    file = File(path.relative_to(house).as_posix(), text, tree, len(code_lines(text, tree)))
    collect(tree, "", file)
    return file


def code_lines(text: str, tree: ast.Module) -> set[int]:
    """The numbers of the lines that are neither blank nor docstring nor comment."""
    found: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in SILENT:
            found.update(range(token.start[0], token.end[0] + 1))
    blank = {n for n, line in enumerate(text.splitlines(), 1) if not line.strip()}
    return found - blank - docstring_lines(tree)


def docstring_lines(tree: ast.Module) -> set[int]:
    """The numbers of the lines of docstrings, those below attributes among them."""
    found: set[int] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant(value=str())) if node.end_lineno:
                found.update(range(node.lineno, node.end_lineno + 1))
    return found


def text_lines(text: str) -> set[int]:
    """The numbers of the lines inside texts of several lines that are no docstrings."""
    found: set[int] = set()
    began: list[int] = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        kind = tokenize.tok_name[token.type]
        if kind == "FSTRING_START":  # from Python 3.12 on
            began.append(token.start[0])
        start = began.pop() if kind == "FSTRING_END" else token.start[0]
        if kind in ("STRING", "FSTRING_END") and start != token.end[0]:
            found.update(range(start, token.end[0] + 1))
    return found - docstring_lines(ast.parse(text))


def collect(node: ast.AST, inside: str, file: File) -> None:
    """Note each class and each function of a module, by its qualified name."""
    for child in ast.iter_child_nodes(node):
        name = inside
        if isinstance(child, ast.ClassDef):
            name = f"{inside}{child.name}."
            file.classes.append((child, name[:-1]))
        elif isinstance(child, Function):
            name = f"{inside}{child.name}."
            file.functions.append((child, name[:-1]))
        collect(child, name, file)


def house_of(root: Path) -> list[File]:
    """Every module of the face and the six rooms."""
    paths = [root / "__init__.py"]
    for room in ROOMS[1:]:
        paths += sorted((root / room).rglob("*.py"))
    return [read(path, root) for path in paths if path.exists()]


# ---- measuring


def length(node: ast.ClassDef | Function) -> int:
    """The lines of a class or a function, without its decorators."""
    return (node.end_lineno or node.lineno) - node.lineno + 1


def files_by_lines(files: Iterable[File]) -> list[Measure]:
    """Each file with its lines."""
    return largest(Measure(file.path, file.lines) for file in files)


def classes_by_lines(files: Iterable[File]) -> list[Measure]:
    """Each class with its lines."""
    return largest(
        Measure(f"{file.path}:{name}", length(node))
        for file in files
        for node, name in file.classes
    )


def functions_by_lines(files: Iterable[File]) -> list[Measure]:
    """Each function and method with its lines, those inside of it included."""
    return largest(
        Measure(f"{file.path}:{name}", length(node))
        for file in files
        for node, name in file.functions
    )


def constructors_by_parameters(files: Iterable[File]) -> list[Measure]:
    """Each class that works with what it is given, with the number of what it is given."""
    files = list(files)
    protocols = {
        node.name
        for file in files
        for node, _ in file.classes
        if file.room == "ports" and any(name_of(base) == "Protocol" for base in node.bases)
    }
    return largest(
        Measure(f"{file.path}:{name}", count)
        for file in files
        for node, name in file.classes
        if (count := parameters(node, protocols)) is not None
    )


def parameters(node: ast.ClassDef, protocols: set[str]) -> int | None:
    """How much a class is given when it is built; None for a value."""
    for each in node.body:
        if isinstance(each, Function) and each.name == "__init__":
            given = each.args
            named = [*given.posonlyargs, *given.args, *given.kwonlyargs]
            return len(named) - 1 + (given.vararg is not None) + (given.kwarg is not None)
    kinds = {name_of(decorator) for decorator in node.decorator_list}
    fields = [each for each in node.body if isinstance(each, ast.AnnAssign) and is_given(each)]
    asks = any(names_in(each.annotation) & protocols for each in fields)
    if "define" in kinds or ("frozen" in kinds and asks):
        return len(fields)
    return None


def is_given(attribute: ast.AnnAssign) -> bool:
    """Whether the caller may hand in this attribute of an attrs class."""
    if "ClassVar" in names_in(attribute.annotation):
        return False
    match attribute.value:
        case ast.Call(keywords=keywords):
            return not any(
                each.arg == "init" and isinstance(each.value, ast.Constant) and not each.value.value
                for each in keywords
            )
    return True


def name_of(node: ast.expr) -> str:
    """The last name of an expression such as `attrs.frozen(eq=False)` or `Protocol[T]`."""
    match node:
        case ast.Call(func=inner) | ast.Subscript(value=inner):
            return name_of(inner)
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
    return ""


def names_in(annotation: ast.expr) -> set[str]:
    """Every name that an annotation speaks of."""
    return {name_of(node) for node in ast.walk(annotation) if isinstance(node, ast.expr)}


def largest(measures: Iterable[Measure]) -> list[Measure]:
    """The largest first."""
    return sorted(measures, key=lambda each: (-each.size, each.where))


# ---- circles


def imports_of(file: File, modules: set[str]) -> set[str]:
    """The modules of the house that this one imports when it runs."""
    found: set[str] = set()
    package = file.module if file.path.endswith("__init__.py") else parent(file.module)
    for node in executed(file.tree.body):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package
            for _ in range(node.level - 1):
                base = parent(base)
            base = ".".join(part for part in (base, node.module) if part)
            for alias in node.names:
                whole = ".".join(part for part in (base, alias.name) if part)
                found.add(whole if whole in modules else base)
    return found & modules - {file.module}


def executed(body: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """The statements of a module, its functions and classes, except for type checkers alone."""
    for node in body:
        yield node
        if isinstance(node, ast.If) and name_of(node.test) == "TYPE_CHECKING":
            yield from executed(node.orelse)
        else:
            for name in ("body", "orelse", "finalbody", "handlers", "cases"):
                yield from executed(getattr(node, name, ()))


def parent(module: str) -> str:
    """The package that a module is in."""
    return module.rpartition(".")[0]


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """The groups of modules that import one another (Tarjan's strongly connected components)."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        order[node] = lowest[node] = len(order)
        stack.append(node)
        for other in sorted(graph[node]):
            if other not in order:
                visit(other)
                lowest[node] = min(lowest[node], lowest[other])
            elif other in stack:
                lowest[node] = min(lowest[node], order[other])
        if lowest[node] == order[node]:
            at = stack.index(node)
            if len(stack) - at > 1:
                found.append(sorted(stack[at:]))
            del stack[at:]

    for node in sorted(graph):
        if node not in order:
            visit(node)
    return found


# ---- limits


def breaches(root: Path, files: list[File]) -> list[Breach]:
    """Everything that is larger than it may be."""
    found: list[Breach] = []
    whole = sum(file.lines for file in files)
    for room in ROOMS:
        share = sum(file.lines for file in files if file.room == room) / whole
        if share > SHARE_OF_A_ROOM:
            found.append(
                Breach("room", room, f"{share:.1%} of the house (limit {SHARE_OF_A_ROOM:.0%})")
            )
    product = [file for file in files if file.room != "testing"]
    for kind, size, limit in (
        ("lines", sum(file.lines for file in product), PRODUCT_LINES),
        ("code", sum(file.code for file in product), PRODUCT_CODE),
    ):
        if size > limit:
            found.append(Breach("product", kind, f"{size:,} (limit {limit:,})"))
    limited = [file for file in files if not file.path.startswith(EXEMPT)]
    constructors = [
        each for each in constructors_by_parameters(files) if not each.where.startswith(EXEMPT)
    ]
    for kind, measures, limit, unit in (
        ("file", files_by_lines(limited), FILE_LINES, "lines"),
        ("class", classes_by_lines(limited), CLASS_LINES, "lines"),
        ("function", functions_by_lines(limited), FUNCTION_LINES, "lines"),
        ("constructor", constructors, PARAMETERS, "parameters"),
    ):
        found += [
            Breach(kind, each.where, f"{each.size} {unit} (limit {limit})")
            for each in measures
            if each.size > limit
        ]
    modules = {file.module for file in files}
    graph = {file.module: imports_of(file, modules) for file in files}
    found += [Breach("circle", each[0], ", ".join(each[1:])) for each in circles(graph)]
    return found + wide_files(root, files)


def wide_files(root: Path, files: list[File]) -> list[Breach]:
    """The files of the house and beside it that have lines which are too long."""
    beside = [path for name in BESIDE for path in sorted((root / name).rglob("*.py"))]
    texts = {file.path: file.text for file in files}
    texts |= {path.relative_to(root).as_posix(): path.read_text("utf-8") for path in beside}
    found = []
    for path, text in texts.items():
        lines = text.splitlines()
        widths = {n: len(PRAGMA.sub("", line)) for n, line in enumerate(lines, 1)}
        numbers = [n for n, width in widths.items() if width > COLUMNS]
        numbers = sorted({*numbers} - text_lines(text)) if numbers else []
        if numbers:
            shown = ", ".join(str(number) for number in numbers[:LARGEST])
            found.append(Breach("columns", path, f"{len(numbers)} lines over {COLUMNS}: {shown}"))
    return found


# ---- telling


def tell(files: list[File]) -> None:
    """Print the figures."""
    whole = sum(file.lines for file in files)
    print("room        files   lines    code classes functions  share")
    for room in (*ROOMS, "house", "product"):
        named = {"house": files, "product": [f for f in files if f.room != "testing"]}
        there = named.get(room, [file for file in files if file.room == room])
        lines, code = (sum(file.lines for file in there), sum(file.code for file in there))
        classes = sum(len(file.classes) for file in there)
        functions = sum(len(file.functions) for file in there)
        print(
            f"{room:10} {len(there):6} {lines:7,} {code:7,} {classes:7,} {functions:9,}"
            f" {lines / whole:6.1%}"
        )
    print(f"The product may have {PRODUCT_LINES:,} lines, {PRODUCT_CODE:,} of them code.")
    for title, measures in (
        ("files (lines)", files_by_lines(files)),
        ("classes (lines)", classes_by_lines(files)),
        ("functions (lines)", functions_by_lines(files)),
        ("constructors (parameters)", constructors_by_parameters(files)),
    ):
        print(f"\nThe {LARGEST} largest {title}")
        for each in measures[:LARGEST]:
            print(f"{each.size:7,} {each.where}")


def main(arguments: list[str]) -> int:
    """Measure, and print what was asked for; the exit code."""
    parser = argparse.ArgumentParser(description="The size of the house.")
    parser.add_argument("--check", action="store_true", help="print only what breaks a limit")
    parser.add_argument("--root", type=Path, default=HOUSE, help="the repository (this one)")
    options = parser.parse_args(arguments)
    files = house_of(options.root)
    found = breaches(options.root, files)
    if not options.check:
        tell(files)
        print(f"\nWhat breaks a limit: {len(found) or 'nothing'}")
    for each in found:
        print(each)
    return 1 if options.check and found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
