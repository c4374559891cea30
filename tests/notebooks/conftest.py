"""Lets the tests here import `reading`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
