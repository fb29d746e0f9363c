"""`python -m n2m_core` is the `n2m` command."""

from n2m_core.cli import main

if __name__ == "__main__":
    main()
