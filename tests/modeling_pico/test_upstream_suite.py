import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from upstream_mixins import fetch

SUITE = Path(__file__).parents[1] / "upstream_suite.py"


@pytest.fixture(scope="session")
def upstream_tests() -> Path:
    return fetch(Path.home() / ".cache" / "pico-maml-tests")


def test_transformers_own_model_tests_pass_and_skip_for_known_reasons_only(upstream_tests, tmp_path):
    report = tmp_path / "report.xml"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(SUITE), f"--junitxml={report}"]
    paths = os.pathsep.join([str(upstream_tests), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=600, env={**os.environ, "PYTHONPATH": paths}
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    (suite,) = ElementTree.parse(report).getroot()
    assert int(suite.get("failures")) == int(suite.get("errors")) == 0
    assert int(suite.get("tests")) - int(suite.get("skipped")) > 80
