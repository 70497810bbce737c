"""What work needs that outlives the process which does it: where it is kept, and who is alive to take it up."""
