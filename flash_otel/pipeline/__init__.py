"""The pipeline of spans in a process: provider, resource, processors, flush and shutdown."""
