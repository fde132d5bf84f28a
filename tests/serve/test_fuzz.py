"""The HTTP API under schemathesis, which reads the OpenAPI document and sends what fits it and what does not."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

from tests.serve.served import serving

if importlib.util.find_spec("schemathesis") is None:
    pytest.skip("needs schemathesis (pip install schemathesis)", allow_module_level=True)

#: These have no end.
ENDLESS = ("/stream.mjpg", "/api/v1/events")

#: What a schema cannot say: which bytes are a picture, and that privacy may only become stricter than it is.
CONFIG = """
[[operations]]
include-path = ["/api/v1/analyze", "/api/v1/options"]
checks.positive_data_acceptance.enabled = false
"""


@pytest.mark.parametrize("which", ["include", "exclude"])
def test_no_request_that_can_be_made_up_breaks_the_api(tmp_path, which):
    """Options apart from the rest: made stricter, privacy would forbid that."""
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    with serving() as served:
        command = [
            *(sys.executable, "-m", "schemathesis.cli", "run", f"http://127.0.0.1:{served.port}/openapi.json"),
            *("--max-examples", "30", "--generation-deterministic", "--continue-on-failure"),
            *("--no-color", "--request-timeout", "10", "--rate-limit", "40/s", f"--{which}-path", "/api/v1/options"),
        ]
        for path in ENDLESS if which == "exclude" else ():
            command += ["--exclude-path", path]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, done.stdout[-12000:] + done.stderr[-2000:]
        assert served.ask("/healthz").status == 200
