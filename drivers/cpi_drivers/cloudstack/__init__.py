"""CloudStack, spoken to by Apache libcloud's connection."""

CLOUD = "cpi_drivers.cloudstack.cloud:CloudStackCloud"
STEMCELL_FORMATS = ("cloudstack-vhdx", "cloudstack-vhd", "cloudstack-qcow2", "cloudstack-ova", "cloudstack-light")
EXTRA = "cloudstack"
