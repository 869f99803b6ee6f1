"""Span records as OTLP (protobuf and JSON), and back."""
