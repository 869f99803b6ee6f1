"""Process-level services: fork and exit hooks, options, locks, the error guard."""
