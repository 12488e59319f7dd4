"""What looks as if it were for a tenant, and is not read as such.

Evidence of such a tenant would vanish without a word, so each of these is named.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from difflib import get_close_matches

from ...domain.integration import tenant_key
from .report import Report, printable
from .schema import closest
from .sources import Items, Node, Pairs

ENDINGS = (".yaml", ".yml", ".json")
_ENDED = "/".join(ENDINGS)
_NEAR = 0.8
"""How like one of the endings another must be to be taken for it: .yalm and .json5 are, .xml is
not."""
_OTHER_KEYS = re.compile(r"tenant[_ -]?id", re.IGNORECASE)
_DEPTH = 3


def is_tenant_file(name: str) -> bool:
    """Whether a file of this name is read."""
    return name.endswith(ENDINGS) and not name.startswith((".", "_"))


def why_not_read(entry: os.DirEntry[str]) -> str | None:
    """Why an entry of the folder is not read, if it looks like a tenant's file."""
    name = entry.name
    if name.startswith("."):
        return None
    if is_folder(entry):
        if below := _tenant_files_in(entry.path):
            return f"is a folder, and {printable(below)} in it is not read"
        return "is a folder, and no tenant's file" if is_tenant_file(name) else None
    if name.startswith("_") and name.endswith(ENDINGS):
        return "is not read, as its name begins with _: rename it if it is a tenant's file"
    stem, ending = os.path.splitext(name.lower().strip())
    if ending == ".txt":
        ending = os.path.splitext(stem)[1]
    near = ending[1:].isalnum() and get_close_matches(ending, ENDINGS, cutoff=_NEAR)
    if near and not name.endswith(ENDINGS):
        return f"is not read, as its name does not end in {_ENDED}: rename it"
    return None


def note_what_is_passed_over(root: Node, report: Report) -> None:
    """Warn of what stands in a tenant's file and says something else than what is read."""
    if not isinstance(root, Pairs):
        return
    for pair in root.members:
        value = pair.value
        is_id = isinstance(value, str) and _OTHER_KEYS.fullmatch(str(pair.key))
        named = report.tenant_id if is_id else None
        if named and tenant_key(str(value)) != tenant_key(named):
            report.warn(
                f"`{pair.key}` is another id than that of the tenant, {report.tenant_id}: the id "
                "is the key `tenant`, or else the file's name",
                pair.line,
            )
    if not report.block_exists and (note := _misplaced(root, report.block)):
        report.warn(*note)
    if not report.has_block and (elsewhere := next(_blocks(root, report.block, 0), None)):
        report.warn(
            f"`{'.'.join(report.block)}` stands within `{elsewhere}`, where it is not read: a "
            "file is for one tenant",
            report.lines.get((elsewhere,)),
        )


def block_is_seen(text: str, block: tuple[str, ...]) -> bool:
    """Whether the keys of the block stand in a text that cannot be read as it should. A key may
    lack its colon if it has a line to itself."""
    return all(
        re.search(
            rf"(?<![\w.-])[\"']?{re.escape(key)}[\"']?\s*:|^\s*{re.escape(key)}\s*$", text, re.M
        )
        for key in block
    )


def cut_off_at(text: str, keys: Collection[str]) -> int | None:
    """The line of the last key in a text, if it is one of these and nothing follows."""
    lines = text.splitlines()
    for number in range(len(lines), 0, -1):
        if line := lines[number - 1].partition("#")[0].strip():
            return number if line in {f"{key}:" for key in keys} else None
    return None


def _blocks(node: Node, block: tuple[str, ...], depth: int) -> Iterator[str]:
    """The keys below which a block of a tenant stands, at the top or a little deeper."""
    members = node.members if isinstance(node, Pairs | Items) and depth < _DEPTH else ()
    for member in members:
        if _leads_to_a_block(member.value, block) or any(_blocks(member.value, block, depth + 1)):
            yield printable(str(member.key))


def _misplaced(root: Pairs, block: tuple[str, ...]) -> tuple[str, int | None] | None:
    """What is wrong with a key that should lead to the block: it is misspelled, or stands at the
    top. And its line."""
    node: Node = root
    for depth, key in enumerate(block):
        members = node.members if isinstance(node, Pairs) else ()
        node = next((member.value for member in members if member.key == key), None)
        for member in members if node is None else ():
            near = closest(member.key, [key])
            if near and _leads_to_a_block(member.value, block[depth + 1 :]):
                key = printable(str(member.key))
                return f"`{key}` is not read: did you mean `{near}`?", member.line
    if len(block) < 2:
        return None
    for member in root.members:
        inside = member.value.members if isinstance(member.value, Pairs) else ()
        if member.key == block[-1] and any(one.key == "provider" for one in inside):
            within = ".".join(block[:-1])
            return f"`{block[-1]}` is not read here: it belongs in `{within}`", member.line
    return None


def _leads_to_a_block(node: Node, block: tuple[str, ...]) -> bool:
    for key in block:
        members = node.members if isinstance(node, Pairs) else ()
        fits = (one.value for one in members if str(one.key).lower() == key.lower())
        node = next(fits, None)
    return isinstance(node, Pairs)


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry of the folder is a folder itself."""
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself: it is reported as a file that cannot be read
        return False


def _tenant_files_in(folder: str) -> str | None:
    try:
        with os.scandir(folder) as entries:
            return min(
                (entry.name for entry in entries if is_tenant_file(entry.name)), default=None
            )
    except OSError:
        return None
