"""Bench: what a server loads beside the portal, `bench.served:app`: the limits and the obvious build."""

from bench.limits import served

app = served()
