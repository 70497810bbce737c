"""What `cpi new-driver` writes: a driver for a small fake cloud that keeps every clause of the contract.

Real code, so that it is formatted, linted, typed and proven as everything else: `cpi.skeleton.example` becomes `cpi_NAME`.
"""
