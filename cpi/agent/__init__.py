"""The client of a VM's BOSH agent: the same typed Agent over whichever transport reaches it."""
