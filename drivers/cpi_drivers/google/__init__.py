"""Google Cloud: VMs, disks, snapshots and images of Compute Engine."""

CLOUD = "cpi_drivers.google.cloud:GoogleCloud"
STEMCELL_FORMATS = ("google-light", "google-rawdisk")
EXTRA = "google"
