"""An hour of `evidence-courier run` as an operator has it, and all that can happen to it.

    python tests/chaos/running.py [--minutes 60] [--rate 3] [--seed 1]

Two processes run beside each other on one database, with `--watch`, secrets in files and notices to
a webhook and a mail server; a third only records evidence. The second `run` is never killed, so
that what grows is seen. Every few seconds one thing happens: a process is killed, ended, stood
still or told to reload; a tenant's file is broken or mended; a platform's key is rotated, with its
secret in a file that is swapped as Kubernetes does; platforms misbehave; a sink hangs, drips,
refuses, closes, redirects; people pause, retry, prune, erase and look.

In the end all is mended, and then everything must hold: each evidence that was recorded is
delivered once, or is marked as a possible duplicate; no document is left; `invariants` and `verify`
find nothing; both sinks have every notice; an erased person's bytes are nowhere; no log has a
secret or a traceback; the second `run` has not grown. The exit code is 1 if any of that does not
hold.
"""

from __future__ import annotations

import argparse
import random
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from hostile_sinks import Sink, mail, webhook
from run_host import TENANTS
from run_world import World

from evidence_courier import Records, StoreError, UploadStatus
from evidence_courier.testing.sandboxes import SprintoSandbox, VantaSandbox
from evidence_courier.testing.sandboxes.server import Sandbox
from evidence_courier.testing.sandboxes.threads import sandbox_in_thread

SETTLE_MINUTES = 20
"""A notice that was told in vain for long is told again ten minutes later."""
SOME_BYTES, BYTES_AN_UPLOAD, SOME_HANDLES = 16 * 2**20, 400, 24
CONNECTIONS, BYTES_A_CONNECTION = 4, 8 * 2**20
"""One connection writes and some read: each keeps so many bytes of the database's pages."""


# --- the end -------------------------------------------------------------------------------------


def settle(world: World) -> None:
    """Mend all, and wait until everything has come to its end."""
    for sandbox in world.sandboxes.values():
        sandbox.use_faults(())
    for sink in world.sinks:
        sink.how = "well"
    world.mend_all()
    world.host.end(signal.SIGTERM, 60)
    for run in world.runs:
        run.tell(signal.SIGCONT)
        run.start()
    until = time.monotonic() + SETTLE_MINUTES * 60
    while time.monotonic() < until:
        threading.Event().wait(5)
        world.look()
        try:
            with Records.open(world.database) as records:
                left, counts = _hurry(records), records.counts()
        except StoreError as error:
            print(f"settling: {error}", flush=True)
            continue
        print(f"settling: {dict(counts)}", flush=True)
        if left == 0 and _waiting_notices(world) == 0:
            break
    else:
        world.wrong.append(f"not everything came to its end in {SETTLE_MINUTES} minutes")
    for run in world.runs:
        if (code := run.end(signal.SIGTERM, 60)) != 0:
            world.wrong.append(f"{run.log.name} ended with {code}")


def _hurry(records: Records) -> int:
    """Have all go on that may; how many have not come to their end. What was erased once it had
    failed has no document any more."""
    left = sum(one.number for one in records.counted(open=True))
    for tenant in TENANTS:
        records.resume(tenant, by="ops", reason="end")
        found = records.find(tenant_id=tenant, status=["held", "failed"], limit=500).uploads
        for word, act in (("held", records.release), ("failed", records.retry)):
            ids = [one.evidence_id for one in found if one.status == word and not one.erased_at]
            if ids:
                act(tenant, ids, by="ops", reason="end")
            left += len(ids) if word == "failed" else 0
    return left


def _waiting_notices(world: World) -> int:
    with closing(sqlite3.connect(world.database)) as db:
        return int(db.execute("SELECT count(*) FROM notices").fetchone()[0])


def judge(world: World) -> None:
    """Compare what was promised with what came."""
    stored: dict[tuple[str, str], UploadStatus] = {}
    with Records.open(world.database) as records:
        after = None
        while True:
            page = records.find(limit=1000, after=after)
            stored |= {(one.tenant_id, one.evidence_id): one for one in page.uploads}
            if (after := page.next_page) is None:
                break
    copies = Counter(one.sha256 for box in world.sandboxes.values() for one in box.received)
    gone = 0
    for tenant, evidence, digest in world.promised():
        one = stored.get((tenant, evidence))
        if one is None:
            gone += 1
            if evidence not in world.erased:
                world.wrong.append(f"{tenant}/{evidence} was recorded and is gone")
        elif one.status == "succeeded" and copies[digest] == 0:
            world.wrong.append(f"{tenant}/{evidence} succeeded and is not there")
        elif copies[digest] > 1 and not one.possible_duplicate:
            world.wrong.append(f"{tenant}/{evidence} is there {copies[digest]} times, not marked")
    statuses = Counter(one.status for one in stored.values())
    marked = sum(one.possible_duplicate for one in stored.values())
    extra = sum(number - 1 for number in copies.values())
    print(f"{len(stored)} uploads {dict(statuses)}, {gone} gone by an erasure")
    print(f"{extra} extra copies, {marked} marked")
    _judge_files(world)
    _judge_notices(world)
    for command in ("invariants", "verify"):
        said = world.command(command, "--db", world.database, codes=(0,))
        print(f"{command}: {said.strip().splitlines()[-1:]}")
    for log in world.home.glob("*.log"):
        world.no_leak(log.name, log.read_text())


def _judge_files(world: World) -> None:
    for folder in world.home.glob("courier.db-documents*"):
        left = [one.name for one in folder.rglob("*") if one.is_file()]
        left = [one for one in left if not one.endswith(".lock")]  # each hour those of the dead go
        if left:
            world.wrong.append(f"{folder.name} still holds {len(left)} files, as {left[:3]}")
    world.command("vacuum", "--db", world.database)
    text = b"".join(one.read_bytes() for one in world.home.glob("courier.db*") if one.is_file())
    for evidence in world.erased:
        if re.search(rb"person-%s(?![0-9])" % evidence.encode(), text):
            world.wrong.append(f"person-{evidence} was erased and is in the database's files")


def _judge_notices(world: World) -> None:
    hook, post = world.sinks
    for sink, name in ((hook, "webhook"), (post, "mail")):
        world.wrong += sink.wrong
        missing = {one for one in world.notices if one not in sink.taken}
        if missing:
            world.wrong.append(f"the {name} was not told of {len(missing)} notices: {missing}")
    if hook.taken.keys() != post.taken.keys():
        world.wrong.append(f"one sink alone has {hook.taken.keys() ^ post.taken.keys()}")
    print(f"{len(hook.taken)} notices, told {sum(hook.taken.values())} times to the webhook")


def judge_growth(world: World) -> None:
    """Compare the middle third of the second run's life with its last."""
    third = len(world.figures) // 3
    if third < 3:
        return
    early, late = world.figures[third : 2 * third], world.figures[2 * third :]

    def grown(at: int) -> float:
        return float(median(one[at] for one in late) - median(one[at] for one in early))

    pages = CONNECTIONS * min(Path(world.database).stat().st_size, BYTES_A_CONNECTION)
    most = SOME_BYTES + pages + BYTES_AN_UPLOAD * grown(0)
    print(
        f"the second run grew by {grown(1) / 2**20:.1f} MiB of {most / 2**20:.1f} at most, "
        f"{grown(2):.0f} handles"
    )
    if grown(1) > most:
        world.wrong.append(f"the second run grew by {grown(1):,.0f} bytes")
    if grown(2) > SOME_HANDLES:
        world.wrong.append(f"the second run has {grown(2):.0f} handles more")


def certificate(home: Path) -> tuple[Path, Path]:
    """A certificate for localhost that is its own authority, and its key."""
    files = home / "authority.pem", home / "authority.key"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    out = ["-days", "2", "-out", str(files[0]), "-keyout", str(files[1])]
    subprocess.run(["openssl", "req", *kind, *names, *out], check=True, capture_output=True)
    return files


def campaign(home: Path, minutes: float, rate: float, seed: int) -> list[str]:
    """Everything that is wrong."""
    dice = random.Random(seed)
    with ExitStack() as stack:
        sandboxes: dict[str, Sandbox] = {
            "first": stack.enter_context(sandbox_in_thread(SprintoSandbox(seed=seed))),
            "second": stack.enter_context(sandbox_in_thread(SprintoSandbox(seed=seed + 1))),
            "vanta": stack.enter_context(
                sandbox_in_thread(VantaSandbox(seed=seed, token_pace=None))
            ),
        }
        sinks = Sink(webhook), Sink(partial(mail, *certificate(home)))
        for sink in sinks:
            stack.callback(sink.close)
        world = World(home, dice, sandboxes, sinks, rate)
        for one in (*world.runs, world.host):
            stack.callback(one.end, signal.SIGKILL, 10)
        began, told = time.monotonic(), 0.0
        while (now := time.monotonic() - began) < minutes * 60:
            world.start_all()
            threading.Event().wait(dice.uniform(0.5, 6))
            world.look()
            world.something()
            if now - told > 60:
                told = now
                print(f"{now / 60:5.1f} min: {dict(world.did)} {world.figures[-1:]}", flush=True)
            if world.runs[1].started > 1:
                world.wrong.append("the second run has ended by itself")
                break
        settle(world)
        judge(world)
        judge_growth(world)
        return world.wrong


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=float, default=3, help="evidences a second")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", help="a new folder for all of it, which stays")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # and end what was started
    with tempfile.TemporaryDirectory(prefix="evidence-running-") as folder:
        home = Path(arguments.keep or folder)
        home.mkdir(exist_ok=True)
        wrong = campaign(home, arguments.minutes, arguments.rate, arguments.seed)
    print(*wrong, sep="\n", end="\n" if wrong else "")
    print(f"verdict: {f'{len(wrong)} things are wrong' if wrong else 'all holds'}")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
