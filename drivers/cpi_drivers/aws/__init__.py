"""Amazon Web Services: VMs on EC2, disks and snapshots on EBS."""

CLOUD = "cpi_drivers.aws.cloud:AwsCloud"
STEMCELL_FORMATS = ("aws-light", "aws-raw")
EXTRA = "aws"
