"""The local web page of `flash-otel ui`: documents of a source, and the server that sends them."""
