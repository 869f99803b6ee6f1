"""The local store of spans, an SQLite file."""
