"""`python -m datafast`: the command line, also where the script `datafast` is not on the PATH."""

from datafast.cli.main import main

if __name__ == "__main__":
    main()
