"""Writes the reference pages, or checks them: ``python -m reference_pages FOLDER [--check]``."""

import sys

from reference_pages.pages import main

sys.exit(main(sys.argv[1:]))
