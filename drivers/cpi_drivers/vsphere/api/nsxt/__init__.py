"""NSX-T: the policy API of an NSX manager, beside the vCenter."""
