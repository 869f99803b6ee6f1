"""A worker's jobs and requests: a span for each, and its delivery before the answer."""
