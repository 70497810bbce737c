"""What is missing is named with the extra that brings it, also where the rest is there."""

import subprocess
import sys

_WITHOUT = """
import sys
sys.modules["prometheus_client"] = None
import cpi
try:
    import cpi.resurrection.metrics
except cpi.CpiError as error:
    print(error.message)
"""


def test_without_prometheus_client_the_monitors_extra_is_named() -> None:
    """With durable works and NATS installed."""
    done = subprocess.run([sys.executable, "-c", _WITHOUT], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "metrics need prometheus-client; install it with: pip install 'multicpi[watch]'"
