"""`python -m tinygrad_cnn` is `tinygrad-cnn`."""

import sys

from .cli.main import main

sys.exit(main())
