"""vSphere: a vCenter, or several, spoken to with pyvmomi."""

CLOUD = "cpi_drivers.vsphere.cloud:VsphereCloud"
STEMCELL_FORMATS = ("vsphere-ovf", "vsphere-ova")
EXTRA = "vsphere"
