"""One file a provider, all behind one contract."""
