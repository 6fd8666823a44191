"""Schedulers: each decides which trials run further."""
