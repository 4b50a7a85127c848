"""`python -m callvoip COMMAND`, the same as the `callvoip` script."""

import sys

from callvoip.cli import main

try:
    sys.exit(main())
except KeyboardInterrupt:
    sys.exit(130)
