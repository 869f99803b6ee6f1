"""What a person or a machine reads of a recording: terminal, HTML and JSON.

Nothing is imported here, so that each report loads only what it needs.
"""
