"""The embedded cloud: VMs are process groups, disks are files, state is SQLite; no account, no daemon, no root needed."""

CLOUD = "cpi_drivers.local.cloud:LocalCloud"
STEMCELL_FORMATS = ("local-tar", "warden-tar", "general-tar")
EXTRA = ""
