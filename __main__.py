"""`python -m evidence_courier`: the command line."""

from .bootstrap.cli import main

if __name__ == "__main__":
    main()
