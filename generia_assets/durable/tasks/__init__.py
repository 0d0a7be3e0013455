"""Durable tasks of one run: runner, checkpoints, generations and the session that holds them."""
