"""``python -m generia_assets.cli``: the command ``generia`` where its script is not on PATH, as for the parts that it starts."""

from generia_assets.cli.main import app

app(prog_name="generia")
