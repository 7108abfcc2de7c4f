"""transformers' own test mixins, downloaded with pip from the source distribution of the installed version.

The distribution has the mixins but not every file they import; the missing ones get stubs here.
"""

import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import transformers

PACKAGE = "transformers_tests"
# Files that the mixins import but the distribution lacks, with the names imported from each.
STUBS = {
    "exporters/test_export.py": "class ExportTesterMixin:\n    pass\n",
    "generation/test_utils.py": "class GenerationTesterMixin:\n    pass\n",
    "utils/test_configuration_utils.py": "config_common_kwargs = {}\n",
}


def fetch(cache: Path) -> Path:
    """Return a folder for sys.path that has the tests as the package `transformers_tests`; skip if pip fails."""
    version = transformers.__version__
    folder = cache / f"transformers-{version}"
    package = folder / PACKAGE
    if (package / "complete").exists():
        return folder
    package.mkdir(parents=True, exist_ok=True)
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--retries", "1", "--dest", str(folder)]
    source = ["--no-deps", "--no-build-isolation", "--no-binary", "transformers", f"transformers=={version}"]
    done = subprocess.run([*download, *source], capture_output=True, text=True, timeout=300)
    archives = list(folder.glob("*.tar.gz"))
    if not archives:
        pytest.skip(f"needs the source distribution of transformers {version}: {done.stderr.strip()[-200:]}")
    with tarfile.open(archives[0]) as archive:
        for member in archive:
            parts = Path(member.name).parts
            if len(parts) == 3 and parts[1] == "tests" and member.isfile():
                content = archive.extractfile(member)
                assert content is not None
                (package / parts[2]).write_bytes(content.read())
    for name, text in STUBS.items():
        path = package / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        (path.parent / "__init__.py").touch()
    (package / "__init__.py").touch()
    (package / "complete").touch()
    return folder
