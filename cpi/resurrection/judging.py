"""What is true of an instance whose agent is silent: the cloud is asked whether its VM is there."""

from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.ids import VmCid
from cpi.resurrection.report import Verdict


def judge(cloud: Cloud, vm_cid: VmCid) -> Verdict:
    """Missing or unresponsive. Raises CloudError if it cannot be known: then nothing must be done."""
    try:
        there = cloud.has_vm(vm_cid)
    except errors.NotImplemented:
        there = True
    return Verdict.UNRESPONSIVE if there else Verdict.MISSING
