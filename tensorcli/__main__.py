"""`python -m tensorcli`."""

from tensorcli.cli import main

main()
