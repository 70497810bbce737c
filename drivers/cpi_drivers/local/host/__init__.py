"""The host: files, locks, records and devices that stand in for a cloud's API."""
