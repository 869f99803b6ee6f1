"""What the instrumentor instruments, as OpenTelemetry's instrumentations declare it."""

_instruments = ("runpod-flash >= 1.0, < 2",)
