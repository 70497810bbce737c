"""VMs: what create_vm was asked, how a VM is made, and what becomes of it."""
