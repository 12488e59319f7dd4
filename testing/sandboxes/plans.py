"""Which request meets which fault: faults as data, drawn by a seeded die or read from a script.

A fault is written `KIND[:VALUE][:OPTION=VALUE]...=WHEN`. `WHEN` is a share of the requests between
0 and 1, or `xN` for the next N requests, or both (`0.5x3`: half of the requests, three at most):

    reset-after=0.1
    status:503=0.2
    status:429:retry-after=7=x2
    graphql:Check in review:code=CONFLICT=1
    slow:0.05=0.3

The last `=` parts off WHEN. A colon begins an option only where one of the kind's own options and a
`=` follow; any other colon belongs to the text before it, so that messages, addresses and dates may
hold colons.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from itertools import chain, repeat
from random import Random

from attrs import field, fields, frozen

from .faults import KINDS, Misbehaviour

_WHEN = re.compile(r"(?P<rate>[0-9]+(?:\.[0-9]*)?|\.[0-9]+)?(?:x(?P<times>[0-9]{1,9}))?", re.ASCII)
_EVERY = 1.0


def parse_misbehaviour(text: str) -> Misbehaviour:
    """Read `KIND[:VALUE][:OPTION=VALUE]...`, such as `status:429:retry-after=7`.

    Raises:
        ValueError: The text says no fault.
    """
    name, _, rest = text.partition(":")
    kind = KINDS.get(name)
    if kind is None:
        raise ValueError(
            f"{name!r} is not a kind of fault{_nearest(name)}; the kinds are: {', '.join(KINDS)}"
        )
    # Each kind is an attrs class: its first field is VALUE, and each may be named as an option.
    attributes = fields(kind)  # type: ignore[arg-type]
    options = [attribute.name.replace("_", "-") for attribute in attributes]
    given = _options_in(text, name, rest, options)
    try:
        return kind(**{option.replace("-", "_"): value for option, value in given.items()})
    except (TypeError, ValueError) as error:
        usage = "".join(f"[:{option}=...]" for option in options)
        raise ValueError(
            f"{text!r} is not a {name} fault, which is written {name}{usage}: {error}"
        ) from error


def _options_in(text: str, name: str, rest: str, options: list[str]) -> dict[str, str]:
    given: dict[str, str] = {}
    current: str | None = None
    for segment in rest.split(":") if rest else []:
        option, equals, value = segment.partition("=")
        if equals and option in options:
            if option in given:
                raise ValueError(f"{text!r} gives {option} twice")
            given[option] = value
            current = option
        elif current is not None:
            given[current] += ":" + segment
        elif options:
            given[options[0]] = segment
            current = options[0]
        else:
            raise ValueError(f"{text!r}: the fault {name} takes no value")
    return given


def _nearest(name: str) -> str:
    near = difflib.get_close_matches(name, KINDS, n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _as_misbehaviour(value: Misbehaviour | str) -> Misbehaviour:
    return parse_misbehaviour(value) if isinstance(value, str) else value


@frozen
class Fault:
    """A misbehaviour and the requests that meet it: a share of them (`rate`), `times` of those at
    most.

    `Fault("reset-after", rate=0.1)`, `Fault("status:503", times=2)`, `Fault(Slow(delay=0.01))`:
    every one.
    """

    kind: Misbehaviour = field(converter=_as_misbehaviour)
    rate: float = field(default=_EVERY, kw_only=True)
    times: int | None = field(default=None, kw_only=True)  # None: without end

    def __attrs_post_init__(self) -> None:
        if not 0.0 <= self.rate <= 1.0:
            raise ValueError(f"a fault's rate is a share between 0 and 1, not {self.rate!r}")
        if self.times is not None and self.times < 1:
            raise ValueError(f"a fault strikes at least once, not {self.times!r} times")


def parse_fault(text: str) -> Fault:
    """Read `KIND[:VALUE][:OPTION=VALUE]...=WHEN`; the module's head has the grammar. Raises
    ValueError."""
    head, equals, when = text.strip().rpartition("=")
    match = _WHEN.fullmatch(when)
    if not equals or not when or match is None:
        raise ValueError(
            f"{text!r} does not say when: write KIND=RATE with a share between 0 and 1, as in "
            "'reset-after=0.1', or KIND=xN for the next N requests; "
            f"the kinds are: {', '.join(KINDS)}"
        )
    kind = parse_misbehaviour(head)
    times = int(match["times"]) if match["times"] else None
    return Fault(kind, rate=float(match["rate"] or _EVERY), times=times)


def fault_kinds() -> dict[str, str]:
    """Each kind's name with one sentence about it, for a help text."""
    return {name: (kind.__doc__ or "").strip() for name, kind in KINDS.items()}


class FaultPlan:
    """Says, request by request, what goes wrong. The same faults and seed give the same sequence.

    Each request draws one number between 0 and 1, and the faults share that line in their order:
    with `reset-after=0.1` and `status:503=0.2`, one in ten is dropped and two in ten get 503. A
    fault whose `times` are used up gives its share back. Raises ValueError if the shares of the
    unending faults add up to more than 1.
    """

    def __init__(self, faults: Iterable[Fault | str] = (), *, seed: int = 0) -> None:
        read = [parse_fault(fault) if isinstance(fault, str) else fault for fault in faults]
        unending = sum(fault.rate for fault in read if fault.times is None)
        if unending > 1.0 + 1e-9:
            raise ValueError(
                f"the faults' rates add up to {unending:g}; together they are at most 1"
            )
        self._steps = _drawn(read, Random(seed))

    @classmethod
    def script(cls, steps: Iterable[Misbehaviour | str | None]) -> FaultPlan:
        """One step a request, in order; None is a request served well, and so are all after the
        last step."""
        plan = cls()
        read = [None if step is None else _as_misbehaviour(step) for step in steps]
        plan._steps = chain(read, repeat(None))
        return plan

    def next(self) -> Misbehaviour | None:
        """What the next request meets; None: nothing goes wrong."""
        return next(self._steps)


def _drawn(faults: list[Fault], die: Random) -> Iterator[Misbehaviour | None]:
    left = [fault.times for fault in faults]
    while True:
        point = die.random()
        struck: Misbehaviour | None = None
        for index, fault in enumerate(faults):
            times = left[index]
            if times == 0:
                continue
            if point < fault.rate:
                left[index] = None if times is None else times - 1
                struck = fault.kind
                break
            point -= fault.rate
        yield struck
