"""The bench: what the portal costs, as ratios to limits measured in the same run (docs/bench.md)."""
