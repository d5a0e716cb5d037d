"""``python -m server`` is ``hearth``."""

import os
import sys

# `-m` puts the working directory first in the search path: Python would import a models.py there in place of ours.
# Python runs a server.py there before it reaches this line; `python -P -m server` and `hearth` do not.
if not sys.flags.safe_path and sys.path[0] != os.path.dirname(os.path.dirname(os.path.abspath(__file__))):
    del sys.path[0]

from server.cli import main

sys.exit(main())
