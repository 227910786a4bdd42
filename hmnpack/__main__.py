"""``python -m hmnpack``: the same as the ``hmnpack`` command."""

from hmnpack.cli import main

if __name__ == "__main__":
    main(prog_name="hmnpack")
