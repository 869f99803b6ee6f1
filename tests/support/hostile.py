"""Draws environments: names of the specification and of flash_otel, with values from hostile ones.

Each value is known to be valid or not, by lists that are independent of flash_otel's own rules.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

CANARY: Final = "canary7f3a91c2"
"""Stands in every value that holds a credential."""


@dataclass(frozen=True)
class Values:
    """Values of one kind of variable: those that it takes, and those that it does not."""

    valid: tuple[str, ...]
    invalid: tuple[str, ...] = ()


@dataclass
class Draw:
    """An environment, and the names of the variables whose values are invalid."""

    variables: dict[str, str] = field(default_factory=dict)
    invalid: set[str] = field(default_factory=set)


_NO_NUMBERS: Final = (
    *("abc", "-1", "-2147483648", "1.5", "0x10", "--1", "1,000", "1_000", "1e3", "nan", "inf"),
    *("٣", "²", "9" * 30, "9" * 5000, "\udcff", "1\udc80", "${SIZE}", "None", "x" * 9999),
)
_COUNT: Final = Values(("0", "1", "64", "2147483647", " 7 ", '"12"'), _NO_NUMBERS)
_POSITIVE: Final = Values(("8", "64", "256", "4096", "'300'"), ("0", *_NO_NUMBERS))
_BOOLEAN: Final = Values(("true", "false", "TRUE", " False "), ("yes", "1", "on", "tru", "\udcff"))
_SWITCH: Final = Values(("0", "false", "no", "off", "OFF"), ("maybe", "2", "nein", "\udcfe"))
_ANY: Final = Values(
    (
        *("shop", '"shop"', "\x1b[31mred\x07", "\udcff\udcfe", "a\nb\r\nc", "%zz%", "${HOME}"),
        *("x" * 200_000, "日本語", "\u202etxt.exe", "'", '"', "=", ",,,", "none", " "),
    )
)
_PAIRS: Final = Values(
    ("a=b", "a=b,c=d", "a=%ff", "a=\udcff", "a==", "a=" + "v" * 100_000, "service.name=x, b = c"),
    ("garbage", "a=b,garbage", "\udcff", "a b", ";"),
)
_HEADERS: Final = Values(
    (
        f"x-api-key={CANARY}",
        f"authorization=Bearer%20{CANARY}",
        f"a={CANARY}\udcff,b=c",
        "a=%0d%0ab",
    ),
    (f"{CANARY}", f"Authorization: Bearer {CANARY}", f"a=b,{CANARY}"),
)
_SECONDS: Final = Values(
    ("0", "0.2", "0.5", " 0.1 "), ("-1", "61", "nan", "soon", "1e999", "\udcff")
)
_TIMEOUT: Final = Values(
    ("1", "0.5", "10000"), ("abc", "-1", "nan", "inf", "1e999", "ten", "\udcff")
)
_FILES: Final = Values(("/dev/null",), ("/no/such/file", "~/ca.pem", "\udcff", "x" * 5000, "\x07"))
_PROTOCOLS: Final = Values(
    ("http/protobuf", "http/json", "HTTP/JSON"), ("http", "udp", "\udcff", "h2")
)
_COMPRESSIONS: Final = Values(
    ("gzip", "none", "GZIP", "deflate"), ("brotli", "zstd", "\udcff", "1")
)
_ENDPOINTS: Final = Values(
    (
        *("http://127.0.0.1:9", "http://127.0.0.1:9/base/", "http://localhost:9", "http://[::1]:9"),
        f"http://user:{CANARY}@127.0.0.1:9",
        *("https://127.0.0.1:9", "http://collector.invalid:4318", "HTTP://127.0.0.1:9"),
    )
)
# Whether these are valid is decided with the destination; here they must only break nothing.
_ODD_ENDPOINTS: Final = Values(
    (
        *(
            "http://[",
            "http://",
            "://",
            "127.0.0.1:9",
            "http://127.0.0.1:99999",
            "\udcff",
            "ftp://a:9",
        ),
        *(
            "grpcs://127.0.0.1:9",
            '"http://127.0.0.1:9"',
            "http://a b",
            "http://\x07",
            "x" * 5000,
            "//",
        ),
        *(
            "http://127.0.0.1:nine",
            "unix:///tmp/none",
            "http://127.0.0.1:9?token=" + CANARY,
            "localhost",
        ),
    )
)
_EXPORTERS: Final = Values(
    ("none", "otlp", "console", "otlp,console", "OTLP", " otlp , none "),
    ("missing", "otlp,zipkin", "\udcff", "oltp", "otlp/stdout", "console\x07"),
)
_SAMPLERS: Final = Values(
    (
        *("always_on", "always_off", "traceidratio", "parentbased_always_on"),
        *("PARENTBASED_ALWAYS_OFF", "parentbased_traceidratio", '"always_on"'),
    ),
    ("sometimes", "jaeger_remote", "\udcff", "always on", "xray"),
)
_PROPAGATORS: Final = Values(
    ("tracecontext", "baggage,tracecontext", "none", "tracecontext,none"),
    ("b3", "tracecontext,baggage,b3", "jaeger", "\udcff", "trace context", "xray,none", ","),
)

_DESTINATION: Final[Mapping[str, Values]] = {
    "PROTOCOL": _PROTOCOLS,
    "HEADERS": _HEADERS,
    "COMPRESSION": _COMPRESSIONS,
    "TIMEOUT": _TIMEOUT,
    "CERTIFICATE": _FILES,
    "CLIENT_CERTIFICATE": _FILES,
    "CLIENT_KEY": _FILES,
    "INSECURE": _BOOLEAN,
}
_LIMITS: Final = (
    *("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT"),
    *("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT"),
    *("OTEL_SPAN_EVENT_COUNT_LIMIT", "OTEL_SPAN_LINK_COUNT_LIMIT"),
    *("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT"),
)
HOSTILE: Final[Mapping[str, Values]] = {
    "OTEL_SDK_DISABLED": Values(("false", "FALSE"), _BOOLEAN.invalid),
    "OTEL_ENTITIES": _ANY,
    "OTEL_RESOURCE_ATTRIBUTES": _PAIRS,
    "OTEL_SERVICE_NAME": _ANY,
    "OTEL_LOG_LEVEL": _ANY,
    "OTEL_PROPAGATORS": _PROPAGATORS,
    "OTEL_TRACES_SAMPLER": _SAMPLERS,
    "OTEL_TRACES_SAMPLER_ARG": _ANY,
    "OTEL_BSP_SCHEDULE_DELAY": _COUNT,
    "OTEL_BSP_EXPORT_TIMEOUT": _COUNT,
    "OTEL_BSP_MAX_QUEUE_SIZE": _POSITIVE,
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": _POSITIVE,
    **dict.fromkeys(_LIMITS, _COUNT),
    "OTEL_BLRP_SCHEDULE_DELAY": _COUNT,
    "OTEL_BLRP_EXPORT_TIMEOUT": _COUNT,
    "OTEL_BLRP_MAX_QUEUE_SIZE": _POSITIVE,
    "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE": _POSITIVE,
    "OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT": _COUNT,
    "OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT": _COUNT,
    "OTEL_EXPORTER_ZIPKIN_ENDPOINT": _ANY,
    "OTEL_EXPORTER_ZIPKIN_TIMEOUT": _COUNT,
    "OTEL_EXPORTER_ZIPKIN_PROTOCOL": _ANY,
    "OTEL_EXPORTER_PROMETHEUS_HOST": _ANY,
    "OTEL_EXPORTER_PROMETHEUS_PORT": Values(("0", "9464"), ("65536", *_NO_NUMBERS)),
    "OTEL_TRACES_EXPORTER": _EXPORTERS,
    "OTEL_METRICS_EXPORTER": _ANY,
    "OTEL_LOGS_EXPORTER": _ANY,
    "OTEL_METRICS_EXEMPLAR_FILTER": Values(("always_on", "trace_based"), ("x", "\udcff")),
    "OTEL_METRIC_EXPORT_INTERVAL": _COUNT,
    "OTEL_METRIC_EXPORT_TIMEOUT": _COUNT,
    "OTEL_CONFIG_FILE": _ANY,
    "OTEL_EXPERIMENTAL_CONFIG_FILE": _ANY,
    "OTEL_EXPORTER_OTLP_SPAN_INSECURE": _BOOLEAN,
    "OTEL_EXPORTER_OTLP_METRIC_INSECURE": _BOOLEAN,
    "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": _ANY,
    "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION": _ANY,
    **{
        f"OTEL_EXPORTER_OTLP_{signal}{name}": values
        for signal in ("", "TRACES_", "METRICS_", "LOGS_")
        for name, values in _DESTINATION.items()
    },
    "OTEL_EXPORTER_OTLP_ENDPOINT": Values(_ENDPOINTS.valid + _ODD_ENDPOINTS.valid),
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": Values(_ENDPOINTS.valid + _ODD_ENDPOINTS.valid),
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": _ANY,
    "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": _ANY,
}
"""The specification's variables, and what is drawn for them."""

_OURS: Final[Mapping[str, Values]] = {
    "FLASH_OTEL_DISABLED": _SWITCH,
    "FLASH_OTEL_EXIT_BUDGET": _SECONDS,
    "FLASH_OTEL_REQUEST_BUDGET": _SECONDS,
    "FLASH_OTEL_LEGACY_LOGS": Values(("0", "logger:", "logger:shop", "\udcff", "x" * 5000)),
    "FLASH_OTEL_PROPAGATION": Values(("auto", "link", "PARENT"), ("child", "\udcff", "1")),
    "FLASH_OTEL_SUMMARY": _SWITCH,
    "FLASH_OTEL_STORE": Values(("", "spans.db", "~/spans.db", "/proc/no/spans.db", "\udcff.db")),
}
_OF_PYTHON: Final[Mapping[str, Values]] = {
    "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": Values(
        ("otel", "process,host", "*", "service_instance"), ("missing", "process,none", "\udcff")
    ),
    "OTEL_PYTHON_ID_GENERATOR": Values(("random",), ("missing", "xray", "\udcff")),
    "OTEL_PYTHON_TRACER_PROVIDER": Values(
        ("default_tracer_provider", "sdk_tracer_provider"), ("missing", "\udcff", "sdk tracer")
    ),
    "OTEL_PYTHON_METER_PROVIDER": Values(("default_meter_provider",), ("missing", "\udcff")),
    "OTEL_PYTHON_CONTEXT": Values(("contextvars_context",), ("missing", "\udcff")),
    "OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED": _BOOLEAN,
    "TRACEPARENT": Values(
        ("garbage", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", "00-0-0-0", "\udcff")
    ),
    "TRACESTATE": Values(("a=b", "\udcff", "=", "x" * 9999, "a=b,a=b")),
}
_ALL: Final[Mapping[str, Values]] = {**HOSTILE, **_OURS, **_OF_PYTHON}
_NAMES: Final = tuple(_ALL)
# These matter together: drawn more often than the others.
_CENTRAL: Final = (
    *("OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_HEADERS"),
    *("OTEL_TRACES_SAMPLER", "OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_PYTHON_TRACER_PROVIDER"),
    *("OTEL_RESOURCE_ATTRIBUTES", "FLASH_OTEL_STORE", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"),
)
_MOST: Final = 6


def draw(seed: str) -> Draw:
    """Draw one to six variables, the same for the same seed."""
    source = random.Random(seed)  # noqa: S311 - no secret
    found = Draw()
    for _ in range(source.randint(1, _MOST)):
        name = source.choice(_CENTRAL if source.random() < 1 / 3 else _NAMES)
        values = _ALL[name]
        is_valid = not values.invalid or source.random() < 1 / 2
        found.variables[name] = source.choice(values.valid if is_valid else values.invalid)
        found.invalid -= {name}
        found.invalid |= set() if is_valid else {name}
    return found
