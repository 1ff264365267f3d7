"""`python -m connector`: the console script, where its folder is not on the path."""

from connector.cli import main

main()
