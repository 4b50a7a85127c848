"""`python -m callvoip COMMAND`, the same as the `callvoip` script."""

import sys

from callvoip.cli import main

sys.exit(main())
