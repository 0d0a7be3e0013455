"""Runs on many machines: Dagster's CeleryRunLauncher with a lease for each run (docs/scaling.md)."""
