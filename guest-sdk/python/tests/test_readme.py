"""The README's metric and its test run as they are written there."""

import importlib
import re
import sys
import tempfile
import unittest
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


class ReadmeTest(unittest.TestCase):
    def test_what_is_written_there_runs(self):
        metric, test = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
        with tempfile.TemporaryDirectory() as folder:
            for block in (metric, test):
                name = re.match(r"# (\w+\.py)\n", block)[1]
                Path(folder, name).write_text(block)
            sys.path.insert(0, folder)
            try:
                importlib.import_module("test_slow_requests").test_a_slow_request_is_counted()
            finally:
                sys.path.remove(folder)


if __name__ == "__main__":
    unittest.main()
