"""The demonstration: a job's disk grows, loses its VM and shrinks live while a client writes to the job; every row counts."""
