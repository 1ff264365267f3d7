"""`python -m connector`: the console script, where its folder is not on the path."""

from connector.cli import main

if __name__ == "__main__":  # a worker's process imports this module as well
    main()
