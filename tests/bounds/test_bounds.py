from __future__ import annotations

import subprocess
from typing import Final

from support.bounds import LOWEST, find_bound, requirements, smoke

_LIST: Final = """
from importlib import metadata
print(*(f"{found.name}=={found.version}" for found in metadata.distributions()), sep="\\n")
"""


def test_the_lowest_versions_work() -> None:
    """With the lowest version of each dependency, spans are stored, sent, and shown."""
    python = find_bound(LOWEST)
    listed = subprocess.check_output([str(python), "-c", _LIST], text=True).split()
    names = {line.partition("==")[0].lower() for line in requirements(LOWEST)}
    found = {
        name.lower(): version for name, _, version in (line.partition("==") for line in listed)
    }
    assert names <= found.keys()
    assert found["opentelemetry-sdk"].startswith("1.28.")
    done = smoke(python)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_dependency_has_a_lower_bound() -> None:
    """Each is pinned by `make bounds`; an upper bound would keep users from later versions."""
    for line in requirements(LOWEST):
        assert line.count("==") == 1, line
        assert not set("<~!,>") & set(line), line
