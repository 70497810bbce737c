"""Google Cloud: VMs, disks, snapshots and images of Compute Engine."""

CLOUD = "drivers.google.cloud:GoogleCloud"
STEMCELL_FORMATS = ("google-light", "google-rawdisk")
EXTRA = "google"
