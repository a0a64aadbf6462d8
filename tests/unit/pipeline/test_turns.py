"""Of all that is left over, one piece in each turn of the loop."""

from __future__ import annotations

import asyncio

from collector.pipeline.turns import Turns


def test_between_two_pieces_the_loop_does_what_has_come_meanwhile() -> None:
    """However many wait, and in the order in which they came; who is not done stands behind the others."""
    seen: list[str] = []

    async def play() -> None:
        loop, turns = asyncio.get_running_loop(), Turns()

        def work(name: str, pieces: int) -> None:
            seen.append(name)
            loop.call_soon(seen.append, "-")  # what arrives anew
            if pieces > 1:
                turns.wait(loop, lambda: work(name, pieces - 1))

        for name, pieces in (("a", 3), ("b", 1), ("c", 2)):
            turns.wait(loop, lambda name=name, pieces=pieces: work(name, pieces))  # type: ignore[misc]
        while len(seen) < 12:  # six pieces, and what comes with each
            await asyncio.sleep(0)

    asyncio.run(asyncio.wait_for(play(), 5))
    assert "".join(seen) == "ab-c-a-c-a--"  # what comes with a piece is before the next but one


def test_a_piece_that_fails_holds_up_nobody() -> None:
    """It is the event loop's to report."""
    seen: list[str] = []

    async def play() -> None:
        loop, turns = asyncio.get_running_loop(), Turns()
        loop.set_exception_handler(lambda _, context: seen.append(str(context["exception"])))

        def fail() -> None:
            raise ValueError("broken")

        turns.wait(loop, fail)
        turns.wait(loop, lambda: seen.append("next"))
        for _ in range(5):
            await asyncio.sleep(0)

    asyncio.run(play())
    assert seen == ["broken", "next"]
