"""``python -m collab``."""

from collab.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
