"""The words of the contract: ids, units, values, errors, capabilities and Cloud itself."""
