"""The move between clouds: a new VM and disk on the other cloud, the data copied from guest to guest while the jobs run."""
