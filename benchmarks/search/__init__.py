"""How good what is found is, for the same compute: our strategies beside peers, in virtual time."""
