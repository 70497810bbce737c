"""Moves that outlive the process that makes them: kept in a database, taken up again by whoever is there."""
