"""The bundled OpenTelemetry Collector and Jaeger: started, watched and stopped on this machine."""
