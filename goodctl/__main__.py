"""``python -m goodctl``."""

from goodctl.cli.app import main

if __name__ == "__main__":
    main()
