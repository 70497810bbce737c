"""The demonstration with containers: a process, the engine and a VM are killed, and a disk grows and shrinks live."""
