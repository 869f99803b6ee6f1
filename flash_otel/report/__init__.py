"""Reports on a recording, for people and machines: terminal, HTML and JSON.

Nothing is imported here, so that each report loads only what it needs.
"""
