"""A manifest of 50 MB through Flash's own client: it arrives as without us."""

from __future__ import annotations

from textwrap import dedent
from typing import TYPE_CHECKING, Final

import pytest
from support.client import Client, deploy

from flash_otel import semconv
from flash_otel.store.store import SpanStore

if TYPE_CHECKING:
    from support.site import Site

pytestmark = pytest.mark.flash

ENTRIES: Final = 50_000
SIZE: Final = 50_000_000

WRITE: Final = """
    import asyncio, sys
    from runpod_flash.core.api.runpod import RunpodGraphQLClient

    if {traced}:
        import flash_otel

        flash_otel.instrument(legacy_logs={lines})
    else:
        flash_otel = None

    names = [f"resource-{{number}}" for number in range({entries})]
    manifest = {{
        "resources": {{
            name: {{"type": "QB", "aiKey": f"canary-{{name}}", "x": "y" * 950}} for name in names
        }},
        "resources_endpoints": {{name: f"https://e/v2/{{name}}" for name in names}},
    }}

    async def deploy(app_name, env_name):
        async with RunpodGraphQLClient() as client:
            return await client.update_build_manifest({build_id!r}, manifest)

    traced = flash_otel.trace_deploy(deploy) if flash_otel else deploy
    print(asyncio.run(traced("big", "production")), len(manifest), sorted(manifest))
"""


@pytest.mark.parametrize("version", ["1.21.0"])
def test_large_manifest(site: Site) -> None:
    """The server stores the same but for our key; the process prints and ends the same."""
    with Client(site.plane) as client:
        build_id = deploy(client).build_id
    assert build_id is not None
    stored, printed = [], []
    for traced in (False, True):
        code = WRITE.format(traced=traced, lines=False, entries=ENTRIES, build_id=build_id)
        run = site.python(dedent(code))
        assert (run.exit_code, run.stderr) == (0, ""), run.output
        printed.append(run.stdout)
        stored.append(dict(site.plane.state.builds[build_id].manifest or {}))
    carrier = stored[1].pop(semconv.CARRIER_KEY)
    assert carrier["phase"] == "write"
    assert stored[0] == stored[1]
    assert printed[0] == printed[1]
    with SpanStore(site.store) as store:
        (upload,) = [span for span in store.spans() if span.name == semconv.MANIFEST_UPLOAD]
    assert upload.attributes[semconv.ENDPOINT_COUNT] == ENTRIES
    assert upload.attributes[semconv.PERSISTED_ENDPOINT_COUNT] == ENTRIES
    # What is measured has a bound, and what is listed has one.
    assert semconv.MANIFEST_SIZE not in upload.attributes
    assert site.store.stat().st_size < SIZE // 10
    assert b"canary-resource" not in site.store.read_bytes()
