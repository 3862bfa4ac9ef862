"""`python -m tidemark_metric build METRIC.py`: makes a component of a metric. `describe` prints what it says of
itself."""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import tempfile
from importlib.resources import as_file, files
from pathlib import Path
from types import ModuleType

import tidemark_metric
from tidemark_metric.component import declaration_in
from tidemark_metric.types import Mistakes

# Not a name that an author's module is likely to have.
APP = "tidemark_metric_app"
APP_SOURCE = """import {module}
from tidemark_metric.component import exports_of
Metric = exports_of({module})
"""


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="tidemark-metric", description="Make components of Tidemark metrics.")
    commands = parser.add_subparsers(dest="command", required=True)
    build_parser = commands.add_parser("build", help="make a component of a metric")
    build_parser.add_argument("metric", type=Path, help="the Python file with the metric")
    build_parser.add_argument("-o", "--output", type=Path, help="the component; METRIC's name with .wasm unless set")
    describe_parser = commands.add_parser("describe", help="print what a metric says of itself, as JSON")
    describe_parser.add_argument("metric", type=Path, help="the Python file with the metric")
    arguments = parser.parse_args()
    try:
        declaration = declaration_in(load(arguments.metric))
        if arguments.command == "describe":
            print(declaration.describe())
        else:
            output = arguments.output or Path(f"{declaration.name}.wasm")
            build(arguments.metric, output)
            print(f"{output}: {output.stat().st_size / 1e6:.1f} MB, {declaration.name} {declaration.version}")
    except (Mistakes, LookupError, OSError) as error:
        sys.exit(f"error: {error}")


def load(metric: Path) -> ModuleType:
    """The author's module. Loading it checks what it declares."""
    if metric.suffix != ".py" or not metric.stem.isidentifier():
        raise LookupError(f"{metric} must be a Python file with a name that can be imported, such as slow_requests.py")
    spec = importlib.util.spec_from_file_location(metric.stem, metric)
    if spec is None or spec.loader is None or not metric.is_file():
        raise LookupError(f"there is no file {metric}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[metric.stem] = module
    sys.path.insert(0, str(metric.resolve().parent))
    spec.loader.exec_module(module)
    return module


def build(metric: Path, output: Path) -> None:
    """Makes a component of a metric, by componentize-py: CPython and the metric in one, with every import of WASI
    answered by a trap."""
    if importlib.util.find_spec("componentize_py") is None:
        raise LookupError("componentize-py is missing: pip install 'tidemark-metric[build]'")
    sdk = Path(tidemark_metric.__file__).parents[1]
    with tempfile.TemporaryDirectory() as folder, as_file(files(tidemark_metric) / "wit") as wit:
        Path(folder, f"{APP}.py").write_text(APP_SOURCE.format(module=metric.stem))
        unfinished = Path(folder, "unfinished.wasm")
        command = [sys.executable, "-c", "from componentize_py import script; script()"]
        command += ["--quiet", "--wit-path", str(wit), "--world", "metric-module", "componentize", "--stub-wasi"]
        for path in (folder, metric.resolve().parent, sdk):
            command += ["--python-path", str(path)]
        # Otherwise it looks for packages with whatever `pipenv` and `python3` there are.
        environment = {**os.environ, "VIRTUAL_ENV": os.environ.get("VIRTUAL_ENV", sys.prefix)}
        done = subprocess.run([*command, APP, "--output", str(unfinished)], env=environment, check=False)
        if done.returncode != 0:
            raise LookupError(f"componentize-py failed; its message is above ({metric})")
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_bytes(unfinished.read_bytes())


if __name__ == "__main__":
    main()
