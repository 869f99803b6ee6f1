"""`python -m flash_otel` is `flash-otel`."""

from flash_otel.cli import main

if __name__ == "__main__":
    main()
