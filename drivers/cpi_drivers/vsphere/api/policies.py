"""Storage policies: found by their names, and the datastores that can keep them."""

from collections.abc import Sequence

from cpi.contract import errors
from cpi_drivers.vsphere.api.client import Client, pbm
from cpi_drivers.vsphere.api.datastores import Store


def find(client: Client, name: str) -> str:
    """The id of a policy. Raises CloudError naming those that there are."""
    manager = client.pbm().profileManager
    kind = pbm.profile.ResourceType(resourceType="STORAGE")
    ids = client.pbm_call(manager, "PbmQueryProfile", resourceType=kind, profileCategory="REQUIREMENT")
    found = client.pbm_call(manager, "PbmRetrieveContent", profileIds=ids) if ids else []
    wanted = next((profile.profileId.uniqueId for profile in found if profile.name == name), None)
    if wanted is None:
        known = ", ".join(sorted(str(profile.name) for profile in found))
        raise errors.CloudError(f"there is no storage policy {name!r}; known: {known}")
    return str(wanted)


def fitting(client: Client, policy: str | None, stores: Sequence[Store]) -> list[Store]:
    """The datastores on which nothing stands against the policy, if there is one."""
    if policy is None or not stores:
        return list(stores)
    solver = client.pbm().placementSolver
    hubs = [pbm.placement.PlacementHub(hubType="Datastore", hubId=store.id) for store in stores]
    wanted = pbm.placement.CapabilityProfileRequirement(profileId=pbm.profile.ProfileId(uniqueId=policy))
    arguments = {"hubsToSearch": hubs, "placementSubjectRequirement": [wanted]}
    results = client.pbm_call(solver, "PbmCheckRequirements", **arguments)
    fit = {result.hub.hubId for result in results if not result.error}
    return [store for store in stores if store.id in fit]
