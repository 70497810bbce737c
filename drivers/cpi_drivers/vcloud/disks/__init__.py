"""Persistent disks, their changes, attachments and snapshots."""
