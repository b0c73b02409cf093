"""Warnings of a stage: its own, whoever works for it, and nobody else's."""

import logging
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from histome.store.logged import logged_warnings
from histome.threads import ordered_map

LOG = logging.getLogger("histome.test")


def test_two_runs_in_one_process_keep_their_warnings_apart() -> None:
    together = Barrier(2, timeout=60)

    def stage(name: str) -> list[str]:
        with logged_warnings() as lines:
            together.wait()
            LOG.warning("of %s", name)
            list(ordered_map(lambda item: LOG.warning("item %s of %s", item, name), range(3), 2))
            LOG.info("no warning")
            together.wait()
        return lines

    with ThreadPoolExecutor(2) as pool:
        a, b = pool.map(stage, "ab")
    assert a == ["item 0 of a", "item 1 of a", "item 2 of a", "of a"]
    assert b == ["item 0 of b", "item 1 of b", "item 2 of b", "of b"]
