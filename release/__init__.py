"""The BOSH release: jobs, packages, ops files, and what builds them."""
