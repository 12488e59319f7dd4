"""The picture of the states of an upload: where everything stands on the paper, and how it is
drawn.

Which events lead from where to where is not said here; it is handed in. An arrow for which there is
no event, or an event for which there is no arrow, is an error, so that the picture cannot be wrong
unnoticed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from itertools import product
from typing import TypeAlias

from attrs import frozen

from evidence_courier.domain.upload.upload import Status

Point: TypeAlias = tuple[float, float]
Words: TypeAlias = Mapping[tuple[str, str], tuple[str, ...]]
"""For each pair of states, the events that lead from the one to the other."""

# --- where it stands -----------------------------------------------------------------------------

COLOURS = {
    Status.PENDING: ("#dbeafe", "#1d4ed8"),
    Status.RETRYING: ("#fef3c7", "#b45309"),
    Status.HELD: ("#ede9fe", "#6d28d9"),
    Status.SUCCEEDED: ("#dcfce7", "#15803d"),
    Status.FAILED: ("#fee2e2", "#b91c1c"),
    Status.SKIPPED: ("#e0e7ff", "#4338ca"),
}
WIDTH, HEIGHT = 800, 1832
NODE_WIDTH, NODE_HEIGHT = 140, 46
REQUEUED = (
    "Requeued goes to LookingUp if a doubt is left and look-ups are possible, else to Queued."
)


@frozen
class Arrow:
    """A line from some states to others, bent at its points, with a label that begins at `label`.

    `wrap` is how many events stand in a line of the label. Each pair of a source and a target must
    have the same events.
    """

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    points: tuple[Point, ...]
    label: Point
    wrap: int = 9
    anchor: str = "middle"


TO_SEND = ("Queued", "Waiting")
PLACES_BY_ITSELF: dict[str, Point] = {
    "Queued": (104, 142),
    "Waiting": (104, 312),
    "Sending": (390, 142),
    "LookingUp": (390, 312),
    "Succeeded": (690, 142),
    "Failed": (690, 312),
    "Held": (690, 462),
}
ARROWS_BY_ITSELF = (
    Arrow(TO_SEND, ("Sending",), ((190, 142), (320, 142)), (255, 134)),
    Arrow(("Sending",), ("Sending",), ((372, 119), (372, 92), (408, 92), (408, 119)), (390, 85)),
    Arrow(
        ("LookingUp",),
        ("LookingUp",),
        ((334, 335), (334, 362), (370, 362), (370, 335)),
        (352, 379),
        1,
    ),
    Arrow(
        ("Sending",), ("Waiting",), ((350, 165), (350, 240), (124, 240), (124, 289)), (262, 218), 2
    ),
    Arrow(("LookingUp",), ("Waiting",), ((320, 318), (174, 318)), (247, 296), 2),
    Arrow(("Sending",), ("LookingUp",), ((420, 165), (420, 289)), (428, 196), 1, "start"),
    Arrow(("Sending",), ("Succeeded",), ((460, 134), (620, 134)), (540, 126)),
    Arrow(
        ("Sending",),
        ("Failed",),
        ((460, 150), (570, 150), (570, 304), (620, 304)),
        (578, 184),
        1,
        "start",
    ),
    Arrow(
        ("LookingUp",),
        ("Succeeded",),
        ((460, 304), (510, 304), (510, 262), (690, 262), (690, 165)),
        (539, 256),
    ),
    Arrow(("LookingUp",), ("Failed",), ((460, 320), (620, 320)), (540, 337), 2),
    Arrow(("LookingUp",), ("Held",), ((430, 335), (430, 452), (620, 452)), (535, 444)),
    Arrow(("Held",), ("LookingUp",), ((620, 474), (400, 474), (400, 335)), (535, 467)),
    Arrow(
        ("Sending",),
        ("Held",),
        ((372, 165), (372, 264), (306, 264), (306, 510), (660, 510), (660, 485)),
        (470, 503),
    ),
    Arrow(TO_SEND, ("Held",), ((150, 350), (150, 540), (690, 540), (690, 485)), (400, 533)),
    Arrow(
        ("Held",),
        ("Queued",),
        ((720, 485), (720, 570), (10, 570), (10, 142), (34, 142)),
        (400, 563),
    ),
    Arrow(
        ("Waiting",),
        ("Failed",),
        ((58, 335), (58, 596), (780, 596), (780, 316), (760, 316)),
        (400, 589),
    ),
    Arrow(
        ("Queued",),
        ("Failed",),
        ((34, 152), (22, 152), (22, 620), (792, 620), (792, 304), (760, 304)),
        (400, 613),
    ),
)
PLACES_OF_DECISION: dict[str, Point] = {
    "Sending": (104, 1064),
    "LookingUp": (104, 1134),
    "Undecided": (390, 1098),
    "Succeeded": (690, 1046),
    "Failed": (690, 1112),
    "Held": (690, 1190),
}
ARROWS_OF_DECISION = (
    Arrow(("Sending", "LookingUp"), ("Undecided",), ((190, 1098), (320, 1098)), (255, 1090)),
    Arrow(
        ("Undecided",),
        ("Undecided",),
        ((372, 1075), (372, 1050), (408, 1050), (408, 1075)),
        (390, 1043),
    ),
    Arrow(
        ("Undecided",),
        ("Succeeded",),
        ((460, 1086), (560, 1086), (560, 1046), (620, 1046)),
        (590, 1038),
    ),
    Arrow(("Undecided",), ("Failed",), ((460, 1104), (620, 1104)), (532, 1121), 3),
    Arrow(("Undecided",), ("Held",), ((390, 1121), (390, 1200), (620, 1200)), (505, 1193)),
)
PLACES_OF_SKIPPING: dict[str, Point] = {
    "Waiting": (104, 1284),
    "Queued": (104, 1348),
    "LookingUp": (104, 1412),
    "Skipped": (410, 1348),
    "Succeeded": (690, 1348),
}
ARROWS_OF_SKIPPING = (
    Arrow(TO_SEND, ("Skipped",), ((190, 1284), (410, 1284), (410, 1325)), (300, 1276)),
    Arrow(("Skipped",), ("Queued", "LookingUp"), ((340, 1340), (184, 1340)), (262, 1332)),
)
PLACES_OF_PARKING: dict[str, Point] = {
    "Waiting": (104, 1536),
    "Queued": (104, 1600),
    "LookingUp": (104, 1664),
    "Sending": (104, 1728),
    "Parked": (410, 1600),
    "Succeeded": (690, 1536),
    "Failed": (690, 1600),
    "Held": (690, 1664),
    "Skipped": (690, 1728),
}
ARROWS_OF_PARKING = (
    Arrow(TO_SEND, ("Parked",), ((190, 1528), (390, 1528), (390, 1577)), (290, 1520)),
    Arrow(("Parked",), ("Queued", "LookingUp"), ((340, 1592), (184, 1592)), (262, 1584)),
    Arrow(("Sending",), ("Parked",), ((174, 1720), (380, 1720), (380, 1623)), (277, 1712)),
    Arrow(("Parked",), ("Sending",), ((400, 1623), (400, 1738), (174, 1738)), (287, 1753)),
    Arrow(
        ("Parked",),
        ("Parked",),
        ((420, 1577), (420, 1552), (448, 1552), (448, 1577)),
        (434, 1545),
    ),
    Arrow(
        ("Parked",), ("Held",), ((480, 1612), (540, 1612), (540, 1664), (620, 1664)), (578, 1681)
    ),
    Arrow(("Parked",), ("Failed",), ((480, 1600), (620, 1600)), (552, 1592)),
    Arrow(("Parked",), ("Skipped",), ((430, 1623), (430, 1728), (620, 1728)), (525, 1721)),
    Arrow(
        ("Failed",),
        ("Queued", "LookingUp"),
        ((760, 1600), (784, 1600), (784, 1776), (10, 1776), (10, 1640), (24, 1640)),
        (400, 1769),
    ),
)
PLACES_BY_PERSON: dict[str, Point] = {
    "Waiting": (104, 722),
    "Queued": (104, 800),
    "LookingUp": (104, 866),
    "Failed": (410, 722),
    "Held": (410, 866),
    "Succeeded": (690, 794),
}
ARROWS_BY_PERSON = (
    Arrow(("Queued", "Waiting", "LookingUp"), ("Failed",), ((194, 714), (340, 714)), (267, 706)),
    Arrow(
        ("Failed",),
        ("Queued", "LookingUp"),
        ((340, 732), (270, 732), (270, 816), (186, 816)),
        (278, 780),
        9,
        "start",
    ),
    Arrow(
        ("LookingUp",),
        ("LookingUp",),
        ((60, 889), (60, 914), (96, 914), (96, 889)),
        (106, 911),
        9,
        "start",
    ),
    Arrow(("Held",), ("Queued", "LookingUp"), ((340, 866), (186, 866)), (267, 858)),
    Arrow(("Held",), ("Failed",), ((410, 843), (410, 745)), (418, 799), 9, "start"),
    Arrow(("Failed",), ("Succeeded",), ((480, 722), (690, 722), (690, 771)), (585, 714)),
    Arrow(("Held",), ("Succeeded",), ((480, 866), (690, 866), (690, 817)), (585, 858)),
    Arrow(
        ("Undecided",),
        ("Failed",),
        ((430, 1121), (430, 1170), (608, 1170), (608, 1126), (620, 1126)),
        (515, 1163),
    ),
    Arrow(
        ("Skipped",), ("Queued", "LookingUp"), ((390, 1371), (390, 1412), (184, 1412)), (290, 1404)
    ),
    Arrow(("Skipped",), ("Succeeded",), ((480, 1348), (620, 1348)), (550, 1340)),
    Arrow(
        ("Parked",),
        ("Queued", "LookingUp"),
        ((340, 1608), (300, 1608), (300, 1656), (184, 1656)),
        (242, 1649),
    ),
    Arrow(("Parked",), ("Succeeded",), ((468, 1577), (468, 1536), (620, 1536)), (544, 1529)),
    Arrow(
        ("Parked",),
        ("Failed",),
        ((460, 1623), (460, 1640), (660, 1640), (660, 1623)),
        (596, 1635),
    ),
)
ARROWS_ALONE = ARROWS_BY_ITSELF + ARROWS_OF_DECISION + ARROWS_OF_SKIPPING + ARROWS_OF_PARKING
PLACES = (
    PLACES_BY_ITSELF,
    PLACES_BY_PERSON,
    PLACES_OF_DECISION,
    PLACES_OF_SKIPPING,
    PLACES_OF_PARKING,
)


def words_on(arrow: Arrow, words: Words) -> tuple[str, ...]:
    """The events of an arrow; each pair that it stands for must have the same ones."""
    on_it = {words.get(pair, ()) for pair in product(arrow.sources, arrow.targets)}
    if len(on_it) != 1 or () in on_it:
        raise ValueError(
            f"the arrow from {arrow.sources} to {arrow.targets} stands for {on_it}: draw it "
            "otherwise"
        )
    return on_it.pop()


def check_complete(arrows: Iterable[Arrow], words: Words) -> None:
    """Raise unless every pair of states that events lead between has its arrow, once."""
    drawn = [pair for arrow in arrows for pair in product(arrow.sources, arrow.targets)]
    if sorted(drawn) != sorted(words):
        raise ValueError(f"drawn but not in the code, or the reverse: {set(drawn) ^ set(words)}")


# --- how it is drawn -----------------------------------------------------------------------------


def path_of(points: tuple[Point, ...], radius: float = 10) -> str:
    """A line through the points, with its corners rounded."""
    parts = [f"M{points[0][0]:g},{points[0][1]:g}"]
    for before, corner, after in zip(points[:-2], points[1:-1], points[2:], strict=True):
        enter, leave = _towards(corner, before, radius), _towards(corner, after, radius)
        parts.append(
            f"L{enter[0]:g},{enter[1]:g} Q{corner[0]:g},{corner[1]:g} {leave[0]:g},{leave[1]:g}"
        )
    parts.append(f"L{points[-1][0]:g},{points[-1][1]:g}")
    return " ".join(parts)


def _towards(start: Point, end: Point, distance: float) -> Point:
    length = abs(end[0] - start[0]) + abs(end[1] - start[1])
    share = min(distance, length / 2) / length
    return start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share


def text(at: Point, content: str, style: str, anchor: str = "middle") -> str:
    return (
        f'<text x="{at[0]:g}" y="{at[1]:g}" class="{style}" '
        f'text-anchor="{anchor}">{escape(content)}</text>'
    )


def box(left: float, top: float, right: float, bottom: float, style: str) -> str:
    return (
        f'<rect x="{left}" y="{top}" width="{right - left}" height="{bottom - top}" rx="12" '
        f'class="{style}"/>'
    )


def draw_node(name: str, centre: Point, statuses: tuple[Status, ...]) -> list[str]:
    """A state's box in the colour of its status; one that has two is in both."""
    left, top = centre[0] - NODE_WIDTH / 2, centre[1] - NODE_HEIGHT / 2
    first, last = statuses[0], statuses[-1]
    fill = COLOURS[first][0] if first is last else "url(#both)"
    return [
        f'<rect x="{left:g}" y="{top:g}" width="{NODE_WIDTH}" height="{NODE_HEIGHT}" rx="9" '
        f'fill="{fill}" stroke="{COLOURS[last][1]}" stroke-width="1.5"/>',
        text((centre[0], centre[1] + 5), name, "state"),
    ]


def draw_line(points: tuple[Point, ...], style: str) -> str:
    return f'<path d="{path_of(points)}" class="arrow {style}" marker-end="url(#tip-{style})"/>'


def draw_arrow(arrow: Arrow, words: Words, style: str) -> list[str]:
    """The line, and the events on it."""
    events = words_on(arrow, words)
    rows = [
        ", ".join(events[start : start + arrow.wrap]) for start in range(0, len(events), arrow.wrap)
    ]
    lines = [draw_line(arrow.points, style)]
    for number, row in enumerate(rows):
        comma = "," if row is not rows[-1] else ""
        at = (arrow.label[0], arrow.label[1] + 15 * number)
        lines.append(text(at, row + comma, f"event {style}", arrow.anchor))
    return lines


def draw_tip(style: str, colour: str) -> str:
    return (
        f'<marker id="tip-{style}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" '
        'markerHeight="7" '
        f'orient="auto"><path d="M0,1 L10,5 L0,9 z" fill="{colour}"/></marker>'
    )


def draw_legend(top: float) -> list[str]:
    """The colour of each status word."""
    lines = [text((24, top + 12), "Status:", "note", "start")]
    for number, (status, (fill, edge)) in enumerate(COLOURS.items()):
        left = 84 + number * 118
        lines.append(
            f'<rect x="{left}" y="{top}" width="18" height="16" rx="4" fill="{fill}" '
            f'stroke="{edge}"/>'
        )
        lines.append(text((left + 25, top + 12), status.value, "note", "start"))
    return lines


STYLE = """
text { font-family: system-ui, "Segoe UI", Helvetica, Arial, "DejaVu Sans", sans-serif; fill: #1f2937 }
.title { font-size: 17px; font-weight: 600 }
.state { font-size: 15px; font-weight: 600 }
.note { font-size: 12px; fill: #4b5563 }
.event { font-size: 12px; stroke: #ffffff; stroke-width: 3px; stroke-linejoin: round; paint-order: stroke }
.arrow { fill: none; stroke-width: 1.5px }
path.itself { stroke: #475569 }
text.itself { fill: #334155 }
path.person { stroke: #9d174d; stroke-dasharray: 5 4 }
text.person { fill: #9d174d }
.paper { fill: #ffffff; stroke: #d1d5db }
.group { fill: #f8fafc; stroke: #94a3b8; stroke-dasharray: 2 3 }
"""


def picture(
    title: str,
    by_itself: Words,
    by_person: Words,
    statuses: Mapping[str, tuple[Status, ...]],
    note: str,
) -> str:
    """The drawing, as an SVG that needs nothing but itself. Raises ValueError where it would be
    untrue."""
    check_complete(ARROWS_ALONE, by_itself)
    check_complete(ARROWS_BY_PERSON, by_person)
    pending, retrying = COLOURS[Status.PENDING][0], COLOURS[Status.RETRYING][0]
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
        f'height="{HEIGHT}" role="img" aria-labelledby="title">',
        f'<title id="title">{escape(title)}</title>',
        f"<style>{STYLE}</style>",
        "<defs>",
        draw_tip("itself", "#475569"),
        draw_tip("person", "#9d174d"),
        f'<linearGradient id="both"><stop offset="50%" stop-color="{pending}"/>'
        f'<stop offset="50%" stop-color="{retrying}"/></linearGradient>',
        "</defs>",
        box(0.5, 0.5, WIDTH - 0.5, HEIGHT - 0.5, "paper"),
        text((24, 38), "What happens by itself", "title", "start"),
        box(18, 108, 190, 350, "group"),
        '<circle cx="104" cy="72" r="6" fill="#1f2937"/>',
        draw_line(((104, 78), (104, 119)), "itself"),
        text((24, 640), note, "note", "start"),
        text((24, 670), "What a person may do", "title", "start"),
        box(14, 690, 194, 936, "group"),
        box(22, 766, 186, 928, "group"),
        text((24, 962), REQUEUED, "note", "start"),
        text((24, 1004), "While a provider decides about what it has taken", "title", "start"),
        box(18, 1028, 190, 1170, "group"),
        text((24, 1232), "What the settings exclude", "title", "start"),
        box(18, 1252, 190, 1380, "group"),
        box(26, 1316, 182, 1444, "group"),
        text((24, 1484), "While a target takes nothing; once it does again", "title", "start"),
        box(18, 1504, 190, 1632, "group"),
        box(26, 1568, 182, 1696, "group"),
    ]
    for arrow in ARROWS_ALONE:
        lines += draw_arrow(arrow, by_itself, "itself")
    for arrow in ARROWS_BY_PERSON:
        lines += draw_arrow(arrow, by_person, "person")
    for places in PLACES:
        for name, centre in places.items():
            lines += draw_node(name, centre, statuses[name])
    return "\n".join([*lines, *draw_legend(HEIGHT - 32), "</svg>"]) + "\n"
