"""python -m histome is the command line."""

from histome.cli import main

main()
