"""Check an installation: what prevents tracing, and the next step."""
