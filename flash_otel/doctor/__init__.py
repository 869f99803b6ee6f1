"""Is this installation fit to trace: what stands in the way, and the next step."""
