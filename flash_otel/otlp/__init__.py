"""OTLP: span records to and from protobuf and JSON."""
