"""The entry point of `supervise` and `python -m supervise`: from here on Ctrl-C is an exit code and no traceback."""

import sys


def main() -> None:
    try:
        from supervise.cli import main as run

        run()
    except KeyboardInterrupt:  # while modules are still being loaded, or at its very end
        sys.exit(130)


if __name__ == "__main__":
    main()
