"""CloudStack: the SDK, what it is reached by, and what its errors mean; nothing of BOSH's."""
