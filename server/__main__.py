"""``python -m server`` is ``hearth``."""

import sys

from server.cli import main

sys.exit(main())
