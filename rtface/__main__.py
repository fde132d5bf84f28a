"""``python -m rtface``."""

from rtface.cli.app import main

if __name__ == "__main__":
    main()
