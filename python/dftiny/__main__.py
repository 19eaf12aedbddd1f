"""`python -m dftiny`, and with it `torchrun -m dftiny train`: the command line."""

from dftiny.cli import main

if __name__ == "__main__":
    main()
