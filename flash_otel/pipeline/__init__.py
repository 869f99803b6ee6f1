"""Where spans go: provider and processors, lines, store, worker log, redaction."""
