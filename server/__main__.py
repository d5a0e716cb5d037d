"""``python -m server`` is ``hearth``."""

import os
import sys

# `-m` puts the working directory first among the places that modules come from: a models.py there would be taken for
# ours. A server.py there Python runs before it comes here; `python -P -m server` and `hearth` do not.
if not sys.flags.safe_path and sys.path[0] != os.path.dirname(os.path.dirname(os.path.abspath(__file__))):
    del sys.path[0]

from server.cli import main

sys.exit(main())
