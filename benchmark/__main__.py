"""``python -m benchmark``."""

from benchmark.cli.main import main
from benchmark.garbage_collection import skip_final_collection

status = main()
skip_final_collection()
raise SystemExit(status)
