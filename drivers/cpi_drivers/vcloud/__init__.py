"""VMware Cloud Director (vCloud Director, vCHS), spoken to by its own XML over urllib3."""

CLOUD = "cpi_drivers.vcloud.cloud:VcloudCloud"
STEMCELL_FORMATS = ("vcloud-ovf", "vcloud-light")
EXTRA = "vcloud"
