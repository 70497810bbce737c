"""Security groups: ids as they are, names looked up in the subnet's network."""

from collections.abc import Sequence

from cpi_drivers.aws.api import errors
from cpi_drivers.aws.api.account import Account


def group_ids(account: Account, wanted: Sequence[str], subnet: str | None) -> list[str]:
    """Ids in the order of the request; the configuration's if there is none. Raises CloudError naming what is missing."""
    wanted = list(wanted) or list(account.settings.default_security_groups)
    names = [group for group in wanted if not group.startswith("sg-")]
    if not names:
        return wanted
    filters = [{"Name": "group-name", "Values": names}]
    vpc = account.facts.subnet(subnet).vpc if subnet else account.facts.default_vpc()
    if vpc:
        filters.append({"Name": "vpc-id", "Values": [vpc]})
    found = account.client.call("DescribeSecurityGroups", Filters=filters)["SecurityGroups"]
    by_name = {group["GroupName"]: group["GroupId"] for group in found}
    missing = [name for name in names if name not in by_name]
    if missing:
        where = f"the network of {subnet}" if subnet else "the default network"
        raise errors.NetworkMissing(f"there is no security group named {', '.join(missing)} in {where}")
    return [by_name.get(group, group) for group in wanted]
