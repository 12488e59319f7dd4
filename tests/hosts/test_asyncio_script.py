"""The script: what its list names arrives, however often it is run and however it ends."""

from __future__ import annotations

from host_home import Home
from host_process import wait_until


def write_completions(home: Home, count: int) -> None:
    lines = ["tenant_id,session_id,subject,outcome,recorded_at,document"]
    for number in range(count):
        (home.folder / f"{number}.csv").write_text(
            f"session,score\r\n{number},100\r\n", encoding="utf-8"
        )
        lines.append(f"acme,s-{number},emp-7,passed,2026-02-21T10:00:00+00:00,{number}.csv")
    lines.append("initech,s-9,emp-8,passed,2026-02-21T10:00:00+00:00,0.csv")
    (home.folder / "completions.csv").write_text("\n".join(lines), encoding="utf-8")


def test_what_the_list_names_is_pending_then_succeeded_and_not_sent_again(home: Home) -> None:
    home.sandbox.use_faults(["slow:0.004=1"])
    write_completions(home, 2)
    said: list[str] = []
    for _ in range(2):
        with home.start(
            "asyncio_script", "python", "deliver.py", home.folder / "completions.csv"
        ) as script:
            assert script.ended() == 0
        said += script.said().splitlines()
        assert home.copies() == {"training-s-0": 1, "training-s-1": 1}
        home.check_left_in_order()
    one, two, three = [said[start : start + 3] for start in (0, 3, 6)]
    assert one == [
        "acme training-s-0 pending",
        "acme training-s-1 pending",
        "initech training-s-9 no integration",
    ]
    assert two == three == [line.replace("pending", "succeeded") for line in one]


def test_a_stopped_script_leaves_nothing_in_flight_and_the_next_goes_on(home: Home) -> None:
    home.sandbox.use_faults(["slow:0.004=1"])
    write_completions(home, 10)
    command = ("python", "deliver.py", home.folder / "completions.csv")
    with home.start("asyncio_script", *command) as script:
        wait_until(
            "something is in flight", lambda: "sending" in [row["state"] for row in home.rows()]
        )
        script.tell_to_end()
        assert script.ended() == 0
    home.check_left_in_order()
    home.sandbox.use_faults([])
    with home.start("asyncio_script", *command) as script:
        assert script.ended() == 0
    assert home.copies() == {f"training-s-{number}": 1 for number in range(10)}


def test_two_at_once_deliver_each_evidence_once(home: Home) -> None:
    write_completions(home, 30)
    command = ("python", "deliver.py", home.folder / "completions.csv")
    with (
        home.start("asyncio_script", *command) as one,
        home.start("asyncio_script", *command) as two,
    ):
        assert one.ended() == two.ended() == 0
    assert home.copies() == {f"training-s-{number}": 1 for number in range(30)}
    assert len(home.sandbox.received) == 30
    home.check_left_in_order()
