"""What a driver author builds with. Imports the contract only."""
