"""`python -m greenroom.node` is the `greenroom` command."""

import sys

from greenroom.node.cli import main

sys.exit(main())
