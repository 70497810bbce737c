"""OpenStack: Keystone, Nova, Cinder, Neutron, Glance and Octavia, spoken to with keystoneauth and openstacksdk."""

CLOUD = "cpi_drivers.openstack.cloud:OpenStackCloud"
STEMCELL_FORMATS = ("openstack-raw", "openstack-qcow2", "openstack-light")
EXTRA = "openstack"
