"""The agent process of a local VM: BOSH's agent protocol over HTTPS, disks, and jobs as supervised processes.

Started by the driver as `python -m cpi_drivers.local.agent --vm-dir DIR`; the two share only the VM's folder.
"""
