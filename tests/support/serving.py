"""A project whose workers are served by the handlers that Flash generates, and code to run them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flash_otel.demo.project import CALLED, CALLING, WHOLE, Edition

if TYPE_CHECKING:
    from collections.abc import Mapping

CANARY: Final = "CANARY0OF0A0JOB"

_STEPS: Final = """\
import flash_otel


@flash_otel.trace_call
def step(function_name: str) -> str:
    return function_name


@flash_otel.trace_call
async def later(function_name: str) -> str:
    return function_name
"""

_FUNCTION: Final = CALLED.replace(
    "    import platform\n",
    """\
    import asyncio
    import platform

    from steps import later, step

    await asyncio.gather(later("gathered"), asyncio.to_thread(step, "threaded"))
    if verbose == "failing":
        raise LookupError({canary!r})
""",
)

_CLASS: Final = '''\
from runpod_flash import Endpoint, GpuType


@Endpoint(name="model", gpu=GpuType.ANY)
class Model:
    """A class, whose one method is called."""

    async def predict(self, text: str = "") -> dict:
        from steps import later

        return {{"text": text, "name": await later("method")}}
'''

_CONCURRENT: Final = '''\
from runpod_flash import Endpoint, GpuType


@Endpoint(name="many", gpu=GpuType.ANY, max_concurrency=4)
async def many(text: str = "") -> dict:
    """A function that serves several jobs at the same time."""
    from steps import later

    return {{"text": text, "name": await later("concurrent")}}
'''


def _edition(modules: Mapping[str, str]) -> Edition:
    return Edition(
        {name: text.replace("{canary!r}", repr(CANARY)) for name, text in modules.items()}
    )


SERVING: Final = _edition(
    {
        "api.py": CALLING,
        "gpu_worker.py": _FUNCTION,
        "model.py": _CLASS,
        "many.py": _CONCURRENT,
        "steps.py": _STEPS,
    }
)
"""A function, a class, a function for concurrent jobs, and a load-balanced endpoint."""

# In two parts, because a stack trace quotes the line.
_FAILING_BODY: Final = f"    raise LookupError({CANARY[:6]!r} + {CANARY[6:]!r})\n"

FAILING: Final = Edition(
    {
        name: text.replace("    import platform\n", _FAILING_BODY)
        for name, text in WHOLE.modules.items()
    },
    {
        name: text.replace("    import platform\n", _FAILING_BODY)
        for name, text in WHOLE.successor.items()
    },
)
"""A load-balanced endpoint that calls a queue-based one, which fails."""

QUEUE: Final = """
    import asyncio, json, os, runpy
    from child import report, traced
    from runpod.serverless import worker
    from runpod.serverless.modules.rp_job import run_job

    jobs, results = json.loads(os.environ["JOBS"]), {}

    async def serve(name, config):
        return await asyncio.gather(*(run_job(config["handler"], job) for job in jobs[name]))

    # All of it is the real one but the loop that fetches jobs from Runpod.
    with traced():
        for name in jobs:
            os.environ["FLASH_RESOURCE_NAME"] = name
            worker.main = lambda config, name=name: results.update(
                {name: asyncio.run(serve(name, config))}
            )
            runpy.run_path(f"handler_{name}.py", run_name="__main__")
    report(results=results)
"""
"""Runs the generated handlers of queue-based endpoints, on the jobs of the variable JOBS."""

HTTP: Final = """
    import asyncio, json, os, runpy, socket, urllib.error, urllib.request
    from child import report, traced

    import uvicorn

    def request(port):
        headers = json.loads(os.environ.get("HEADERS", "{}"))
        url = f"http://127.0.0.1:{port}" + os.environ.get("REQUESTED", "/gpu/info")
        try:
            with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    async def serve(app):
        listener = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:
            await asyncio.sleep(0.01)
        answer = await asyncio.to_thread(request, listener.getsockname()[1])
        server.should_exit = True
        await serving
        return answer

    before()
    with traced():
        status, answer = asyncio.run(serve(runpy.run_path("handler_api.py")["app"]))
    report(status=status, answer=answer, **after())
"""
"""Runs the generated application under the real uvicorn, and sends it a request."""

PLAIN: Final = """
    def before(): ...
    def after(): return {}
"""

INSTRUMENTED: Final = """
    def before():
        from opentelemetry import trace
        from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor
        from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
        from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        global exporter
        exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        trace.set_tracer_provider(provider)
        AioHttpClientInstrumentor().instrument(skip_dep_check=True)
        FastAPIInstrumentor().instrument(skip_dep_check=True)
        HTTPXClientInstrumentor().instrument(skip_dep_check=True)

    def after():
        return {"theirs": [
            {
                "name": span.name,
                "kind": span.kind.name,
                "trace": f"{span.context.trace_id:032x}",
                "span": f"{span.context.span_id:016x}",
                "parent": span.parent and f"{span.parent.span_id:016x}",
                "scope": span.instrumentation_scope.name,
            }
            for span in exporter.get_finished_spans()
        ]}
"""
"""The same of a host with a provider and instrumentations of its own, whose spans are reported."""


SUCCESSOR_QUEUE: Final = """
    import asyncio, json, os
    from child import report, traced
    import runpod
    from runpod.serverless import worker
    from runpod.serverless.modules.rp_job import run_job

    (job,), results = json.loads(os.environ["JOBS"])["gpu_info"], {}

    async def serve(config):
        return [await run_job(config["handler"], job)]

    with traced():
        from gpu_app import gpu_info

        # In its own worker, the function runs in place.
        async def handler(job):
            return await gpu_info.remote.aio(**job["input"])

        worker.main = lambda config: results.update(gpu_info=asyncio.run(serve(config)))
        runpod.serverless.start({"handler": handler})
    report(results=results)
"""
"""The same for runpod 2, whose runtime is a part of its images, not of the package."""

SUCCESSOR_APP: Final = """
    def load(_name):
        from fastapi import FastAPI
        from gpu_app import Api

        app = FastAPI()
        app.get("/gpu/info")(Api.__wrapped__().info)
        return {"app": app}
    import runpy
    runpy.run_path = load
"""
"""Makes the application of runpod 2 from the routes of the user's class, as its runtime does."""
