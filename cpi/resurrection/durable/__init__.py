"""Recreations that outlive the monitor that began them: kept in a database, taken up again by whoever is there."""
