"""The bracketed lines: one table, by which they are written and parsed."""
