"""Faults of host processes: jumping clocks, thousands of concurrent tasks."""

from __future__ import annotations

from typing import Final

TASKS: Final = 10_000
JUMPS: Final = 3

CLOCK: Final = """
import time

def _shifted(read, unit):
    return lambda: read() + offset_s * unit

offset_s = 0
time.time, time.time_ns = _shifted(time.time, 1), _shifted(time.time_ns, 10**9)
"""
"""A clock that runs ahead by `offset_s`, put in the place of the system's before all imports."""

JUMPING: Final = """
year_s = 365 * 24 * 3600
for offset_s in (2 * year_s, -40 * year_s, 0):
    work(10)
    {flush}
print("done")
ended = time.monotonic()
"""
"""Work in the future, in the past, and now again."""

LOCKED: Final = """
import os, signal, time
from opentelemetry import trace

@flash_otel.trace_activate
def suspended(build_id):
    yield trace.get_current_span()

generator = suspended("b")
with next(generator)._lock:
    os.kill(os.getpid(), signal.{number})
    time.sleep(60)
"""
"""A signal while the main thread holds the lock of a span that is open."""

MANY: Final = f"""
import asyncio

async def run():
    async def task(number):
        {{call}}

    await asyncio.gather(*(task(number) for number in range({TASKS})))

asyncio.run(run())
print("done")
ended = time.monotonic()
"""
OURS_IN_A_TASK: Final = """await activate_later(f"b-{number}")"""
SDKS_IN_A_TASK: Final = """
        with tracer.start_as_current_span("activate"):
            await asyncio.sleep(0)
"""
LATER: Final = """
import asyncio

@flash_otel.trace_activate
async def activate_later(build_id):
    await asyncio.sleep(0)
    return build_id
"""


def many_tasks(*, with_sdk: bool) -> str:
    """Return code that makes a span in each of 10,000 tasks, all of them at once."""
    call = SDKS_IN_A_TASK if with_sdk else OURS_IN_A_TASK
    return ("" if with_sdk else LATER) + MANY.format(call=call.strip())


def jumping(*, with_sdk: bool) -> str:
    """Return code that works while its clock jumps; ours is stored in between, as time goes by."""
    return JUMPING.format(flush="pass" if with_sdk else "flash_otel.flush(30)")
