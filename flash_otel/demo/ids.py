"""Random ids in the forms that Runpod hands out: new in every run, or repeatable from a seed."""

from __future__ import annotations

import random
import string
import uuid
from collections import Counter
from typing import Final, Literal

IdStyle = Literal["uuid", "short"]

_ALPHABET: Final = string.ascii_lowercase + string.digits
_ENDPOINT_ID_LENGTH: Final = 14
_TEMPLATE_ID_LENGTH: Final = 10
_SHORT_ID_LENGTH: Final = 9


class Ids:
    """Makes the ids of one stand-in control plane.

    With a seed an id depends on what it is for and on how many of that kind came before, not
    on the order of requests: Flash saves its endpoints concurrently.

    Args:
        seed: Makes the ids repeatable; None for new ids in every run.
        style: Form of the ids of apps, environments and builds. Flash's own documentation
            calls a build id a UUID, while the guide's examples are short words.
    """

    def __init__(self, seed: int | None = None, style: IdStyle = "uuid") -> None:
        self._seed = seed
        self._style = style
        self._made: Counter[str] = Counter()

    def record(self, label: str) -> str:
        """Return an id for the app, environment or build called `label`, in the chosen style."""
        return self.uuid(label) if self._style == "uuid" else self._short(label, _SHORT_ID_LENGTH)

    def endpoint(self, label: str) -> str:
        """Return an endpoint id: 14 letters and digits, as in every endpoint's URL."""
        return self._short(f"endpoint {label}", _ENDPOINT_ID_LENGTH)

    def template(self, label: str) -> str:
        """Return a template id: 10 letters and digits."""
        return self._short(f"template {label}", _TEMPLATE_ID_LENGTH)

    def uuid(self, label: str) -> str:
        """Return a random (version 4) UUID."""
        return str(uuid.UUID(int=self._source(label).getrandbits(128), version=4))

    def hexadecimal(self, label: str, length: int) -> str:
        """Return `length` random hexadecimal digits."""
        return f"{self._source(label).getrandbits(4 * length):0{length}x}"

    def _short(self, label: str, length: int) -> str:
        source = self._source(label)
        rest = (source.choice(_ALPHABET) for _ in range(length - 1))
        return source.choice(string.ascii_lowercase) + "".join(rest)

    def _source(self, label: str) -> random.Random:
        if self._seed is None:
            return random.SystemRandom()
        self._made[label] += 1
        return random.Random(f"{self._seed}/{label}/{self._made[label]}")  # noqa: S311 - ids, no secrets
