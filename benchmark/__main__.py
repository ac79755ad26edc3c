"""``python -m benchmark``."""

from benchmark.cli import main
from benchmark.garbage import leave_to_system

status = main()
leave_to_system()
raise SystemExit(status)
