"""The bracketed lines: one table that writes and reads them."""
