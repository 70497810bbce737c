"""Moves that outlive the process that makes them: kept in a database, taken up again by whoever is there.

workflow is the only file that knows the engine (DBOS); everything else here would serve another one.
"""
