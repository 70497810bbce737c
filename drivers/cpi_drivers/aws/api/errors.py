"""From AWS's error codes to the director's ten errors: one table."""

import re
from typing import Final

from cpi.contract import errors
from cpi.kit import failures

THROTTLES: Final = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "PriorRequestNotComplete",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "SnapshotCreationPerVolumeRateExceeded",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)

# The cloud itself had a fault: whether the call was carried out is not known.
ANSWER_LOST: Final = frozenset(
    {
        "InternalError",
        "InternalFailure",
        "InternalServerException",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "Unavailable",
    }
)


class Refused(failures.Refused):
    """What AWS refused, with its code."""

    code = ""
    after_lost_answer = False
    """An earlier attempt of the same call may have been carried out."""

    not_yet = False
    """It is about a thing that was made within the last minute, and was waited for."""


class Throttled(Refused, failures.Throttled):
    """Too many calls; this one was not carried out."""


class Unreached(Refused, failures.Unreached):
    """No connection; the call was not carried out."""


class AnswerLost(Refused, failures.AnswerLost):
    """No usable answer: the call may have been carried out."""


class Denied(Refused, failures.Denied):
    """The credentials, or what they allow."""


class CredentialsRefused(Denied):
    """The credentials themselves, whatever was asked."""


class ProxyRefused(Refused):
    """The proxy on the way to AWS."""


class KeyUnusable(Refused):
    """The KMS key of an encrypted disk cannot be used, as far as EC2 tells."""


class NoCapacity(Refused, failures.NoCapacity):
    """AWS has none of it at the moment: another time, type or zone may do."""


class NotOffered(NoCapacity):
    """AWS has none of it there, ever: another type or zone may do."""


class QuotaReached(Refused, failures.QuotaReached):
    """The account's limit: a repeat will not help before somebody raises it or makes room."""


class NoRoom(errors.NoDiskSpace, Refused):
    """No room or quota for a disk."""


class VmMissing(errors.VMNotFound, Refused, failures.Missing):
    """No such VM."""


class DiskMissing(errors.DiskNotFound, Refused, failures.Missing):
    """No such disk."""


class NotAttached(errors.DiskNotAttached, Refused):
    """The disk is not attached to that VM."""


class NetworkMissing(errors.NetworkNotFound, Refused, failures.Missing):
    """No such subnet, address, security group or interface."""


_CREDENTIALS = "check the keys, the role and the clock of this machine"
_PERMISSION = "`cpi doctor` prints the policy that the driver needs"
_QUOTA = "raise the quota in Service Quotas, or delete what is not needed"
_ORGANISATION = "a policy of the organisation denies it: ask those who administer it; rights of this account do not help"
_UPLOAD = "a heavy stemcell is uploaded by the EBS direct API: allow ebs:StartSnapshot, ebs:PutSnapshotBlock and"
_UPLOAD += " ebs:CompleteSnapshot, or take a light stemcell"
_OF_UPLOADS = frozenset({"StartSnapshot", "PutSnapshotBlock", "CompleteSnapshot"})
_BLOCKED = "AWS has blocked the account: ask AWS Support"
_VERIFYING = "AWS is still verifying the account for this region: wait for its mail, which may take hours"
_SUBSCRIBING = "the account has to be signed up for it: enable the region, or accept the image's terms in AWS Marketplace"
_ATTACHMENTS = "the VM has as many disks and interfaces as its type takes: detach one, or use a type that takes more"
_NOT_OFFERED = "the zone does not offer it: name another instance type or availability zone"
_KEY = "check that the key exists and is enabled, and that its policy lets the caller use it: kms:CreateGrant, kms:Decrypt,"
_KEY += " kms:DescribeKey, kms:GenerateDataKeyWithoutPlaintext, kms:ReEncrypt*"
_CAPACITY = "list further instance_types or availability_zones, or try again later"

# The first pattern that matches the whole code decides; what is added says what to do.
TABLE: Final[tuple[tuple[str, type[Refused], str], ...]] = (
    (r"InvalidInstanceID\..*", VmMissing, ""),
    (r"InvalidVolume\.NotFound|InvalidVolumeID\..*|InvalidVolume\.Malformed", DiskMissing, ""),
    (r"InvalidAttachment\.NotFound", NotAttached, ""),
    (
        (
            r"Invalid(Subnet|SubnetID|Group|GroupId|NetworkInterfaceID|Address|AllocationID|RouteTableID|VpcID)\.(NotFound|Malformed)"
            r"|InvalidGroupId\.Malformed|InvalidSecurityGroupID\.NotFound|InvalidNetworkInterfaceId\..*"
        ),
        NetworkMissing,
        "",
    ),
    (r"InsufficientVolumeCapacity|MaxIOPSLimitExceeded|VolumeLimitExceeded|VolumeIOPSLimit|VolumeSizeLimit.*", NoRoom, _QUOTA),
    (r"(Client\.)?(InvalidKms|InvalidKMS|KMS|Kms).*|Client\.InternalError|EncryptedVolumesNotSupported", KeyUnusable, _KEY),
    (r"Unsupported|InvalidAvailabilityZone|InstanceTypeNotSupported", NotOffered, _NOT_OFFERED),
    (r"AttachmentLimitExceeded", QuotaReached, _ATTACHMENTS),
    (
        (
            r"Insufficient(Instance|Host|ReservedInstance|Address|FreeAddressesInSubnet)?Capacity|InsufficientFreeAddressesInSubnet"
            r"|UnfulfillableCapacity|SpotMaxPriceTooLow|InsufficientCapacity(OnHost)?|CapacityOversubscribed"
        ),
        NoCapacity,
        _CAPACITY,
    ),
    (
        (
            r"(Instance|Vcpu|Address|Subnet|NetworkInterface|SecurityGroupsPerInterface|SecurityGroupsPerInstance|PendingSnapshot"
            r"|ConcurrentSnapshot|Snapshot)LimitExceeded|MaxSpot(Instance|FleetRequest)CountExceeded"
            r"|MaxScheduledInstanceCapacityExceeded|AMI(Limit|Quota)Exceeded|ResourceLimitExceeded|PrivateIpAddressLimitExceeded"
            r"|ServiceQuotaExceededException|ResourceCountExceeded"
        ),
        QuotaReached,
        _QUOTA,
    ),
    (
        (
            r"AuthFailure|SignatureDoesNotMatch|IncompleteSignature|InvalidClientTokenId|InvalidAccessKeyId|UnrecognizedClientException"
            r"|ExpiredToken|ExpiredTokenException|RequestExpired|MissingAuthenticationToken|InvalidSecurityToken"
        ),
        CredentialsRefused,
        _CREDENTIALS,
    ),
    (r"NotSignedUp|OptInRequired", Denied, _SUBSCRIBING),
    (r"Blocked", Denied, _BLOCKED),
    (r"PendingVerification", Denied, _VERIFYING),
    (r"UnauthorizedOperation|AccessDenied|AccessDeniedException|Client\.UnauthorizedOperation", Denied, _PERMISSION),
)

_ENCODED_MESSAGE = re.compile(r"\s*Encoded authorization failure message:\s*(\S*).*", re.DOTALL)
_BY_ORGANISATION = re.compile(r"explicit deny in a (service|resource) control policy")


def kind_of(code: str) -> tuple[type[Refused], str]:
    """The class of error for a code, and what to do."""
    for pattern, kind, advice in TABLE:
        if re.fullmatch(pattern, code):
            return kind, advice
    return Refused, ""


def refusal(operation: str, code: str, message: str, status: int = 400) -> Refused:
    """What AWS answered to a call, as an error of the contract."""
    text = _ENCODED_MESSAGE.sub("", message or "no reason given").strip()
    if code in THROTTLES:
        return _made(Throttled, code, f"AWS throttles {operation} ({code}): {text}")
    kind, advice = kind_of(code)
    if kind is Denied and operation in _OF_UPLOADS:
        advice = _UPLOAD
    if kind is Denied and _BY_ORGANISATION.search(text):
        advice = _ORGANISATION
    if kind is Refused and (code in ANSWER_LOST or status >= 500):  # noqa: PLR2004 - HTTP's server faults
        return _made(AnswerLost, code, f"AWS failed at {operation} ({code}, HTTP {status}): {text}")
    return _made(kind, code, f"AWS refused {operation} ({code}): {text}" + (f"; {advice}" if advice else ""))


def encoded_message(message: str) -> str:
    """What `aws sts decode-authorization-message` takes; empty if AWS sent none."""
    found = _ENCODED_MESSAGE.search(message or "")
    return found[1] if found else ""


def died(vm_cid: str, code: str, message: str) -> Refused:
    """A VM that ended while it was starting: code is EC2's state reason, `Server.InsufficientInstanceCapacity` say."""
    short = code.rpartition(".")[2]
    if code == "Client.InternalError":  # the caller's fault, where Server.InternalError is AWS's: as a rule the disks' key
        short = code
    kind, advice = kind_of(short)
    text = f"AWS ended {vm_cid} while it was starting ({code or 'no reason given'}): {message or 'no reason given'}"
    return _made(kind, short, text + (f"; {advice}" if advice else ""))


def unreached(operation: str, reason: object) -> Refused:
    """No connection was made."""
    return _made(Unreached, "", f"AWS cannot be reached for {operation}: {reason}; check region, endpoint and proxy")


def no_instance_profile(service: str, answer: object) -> str:
    """The end of a search for credentials; answer: the last one of the instance metadata service."""
    return (
        "no usable AWS credentials: there are none in the environment or in a profile, and the instance metadata service"
        f" {service} gave none (its last answer: {answer}); give this VM an instance profile, allow two hops to the service"
        " where the CPI runs in a container, or set credentials_source: static"
    )


def stopped_by_proxy(operation: str, reason: object) -> Refused:
    """The proxy did not open the way; AWS never saw the call."""
    text = f"the proxy on the way to AWS did not let {operation} through: {reason}"
    if re.search(r"Tunnel connection failed: 40[137]", str(reason)):
        return _made(ProxyRefused, "", f"{text}; check user, password and rules of https_proxy, or name the host in no_proxy")
    return _made(Unreached, "", f"{text}; check https_proxy and no_proxy")


def answer_lost(operation: str, reason: object) -> Refused:
    """The connection broke, or the answer was none."""
    return _made(AnswerLost, "", f"AWS gave no usable answer to {operation}: {reason}; it may have been carried out")


def _made(kind: type[Refused], code: str, message: str) -> Refused:
    error = kind(message)
    error.code = code
    return error
