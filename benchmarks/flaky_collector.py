"""A collector that fails at random, by a seed, and counts what it took and did not acknowledge."""

from __future__ import annotations

import random
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.scripted_collector import OK, HttpCollector, Key, Reply, partial

if TYPE_CHECKING:
    from support.scripted_collector import ExportRequest
    from typing_extensions import Self

HANG_S: Final = 3.0
TAKEN: Final = "taken"
LOST: Final = "acknowledgement lost"
PARTIAL: Final = "partial success"
# Outcome -> its weight (they sum up to 100) and the reply.
OUTCOMES: Final[dict[str, tuple[int, Reply]]] = {
    TAKEN: (40, OK),
    "503, Retry-After": (12, Reply(503, {"retry-after": "1"}, closes=True)),
    "hangs": (8, Reply(500, pause_s=HANG_S, is_lost=True)),
    LOST: (14, Reply(is_lost=True)),
    "reset": (14, Reply(is_reset=True)),
    PARTIAL: (6, partial(1, "refused")),
    "502": (6, Reply(502, closes=True)),
}
# Seconds for which it listens, and then refuses every connection.
UP_S: Final = (10.0, 25.0)
DOWN_S: Final = (2.0, 6.0)


class FlakyCollector:
    """Serves OTLP over HTTP and fails until `heal` is called.

    Args:
        seed: Seed of the failures.

    Attributes:
        taken: How often each span was taken.
        unacknowledged: Spans that were taken without an answer, and how often.
        refused: Spans that a partial success has left out.
        outcomes: Number of requests by outcome, and of outages.
    """

    def __init__(self, seed: int) -> None:
        self.taken: Counter[Key] = Counter()
        self.unacknowledged: Counter[Key] = Counter()
        self.refused: set[Key] = set()
        self.outcomes: Counter[str] = Counter()
        self._random = random.Random(seed)  # noqa: S311 - repeatable on purpose
        self._healed = threading.Event()
        self._collector = HttpCollector(script=self._choose)

    def __enter__(self) -> Self:
        self._collector.start()
        self._outages = threading.Thread(target=self._go_down_and_up)
        self._outages.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.heal()
        self._collector.stop()

    @property
    def url(self) -> str:
        """Where it is reached."""
        return self._collector.url

    def heal(self) -> None:
        """Take and acknowledge everything from now on."""
        self._healed.set()
        self._collector.hurry()
        self._outages.join()

    def _choose(self, request: ExportRequest) -> Reply:
        """Choose what a request comes to, and count it; the collector calls this under its lock."""
        weights = [weight for weight, _ in OUTCOMES.values()]
        chosen = TAKEN if self._healed.is_set() else self._random.choices([*OUTCOMES], weights)[0]
        self.outcomes[chosen] += 1
        reply = OUTCOMES[chosen][1]
        if reply.takes_spans:
            keys = request.keys
            refused = keys[:1] if chosen == PARTIAL else []
            self.taken.update(keys[len(refused) :])
            self.refused.update(refused)
            if chosen == LOST:
                self.unacknowledged.update(keys)
        return reply

    def _go_down_and_up(self) -> None:
        while not self._healed.wait(self._random.uniform(*UP_S)):
            self._collector.stop()
            self.outcomes["outage (connections refused)"] += 1
            self._healed.wait(self._random.uniform(*DOWN_S))
            self._collector.start()
