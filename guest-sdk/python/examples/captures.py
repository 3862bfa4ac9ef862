"""Real captures of the first user's events, for tests of the project's own metrics."""

import sys
from pathlib import Path

FOLDER = Path(__file__).parents[4] / "shared/data/livepeer"


def real_capture(file: str) -> list[str]:
    """The lines of a capture; none, with a loud line on standard error, where the folder with the captures is not
    there."""
    if not FOLDER.is_dir():
        print(f"SKIPPED: no real captures in {FOLDER}", file=sys.stderr)
        return []
    return (FOLDER / file).read_text().splitlines()
