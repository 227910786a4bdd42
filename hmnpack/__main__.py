"""Run the ``hmnpack`` command as ``python -m hmnpack``."""

from hmnpack.cli import main

if __name__ == "__main__":
    main(prog_name="hmnpack")
