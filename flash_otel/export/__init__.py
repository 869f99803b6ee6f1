"""OTLP destinations, and how spans get there."""
