"""`python -m worldmodel` is the command `worldmodel`."""

import sys

from worldmodel.cli import main

sys.exit(main())
