"""What a VM joins in NSX-T when it is made, and leaves when it is deleted."""
