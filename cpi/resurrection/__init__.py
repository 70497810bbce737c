"""Instances that come back by themselves: a silent agent or a lost VM is replaced, its disks and its address kept."""
