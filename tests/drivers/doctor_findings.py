"""What a driver tells `cpi doctor`, for tests."""

from cpi.contract.cloud import Cloud
from cpi.contract.operator import Examines, Finding


def findings(cloud: Cloud) -> dict[str, list[Finding]]:
    """By subject."""
    assert isinstance(cloud, Examines)
    found: dict[str, list[Finding]] = {}
    for finding in cloud.examine():
        found.setdefault(finding.subject, []).append(finding)
    return found
