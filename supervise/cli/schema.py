"""`supervise schema`: the JSON Schema that editors check agents.yaml with."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False, writable=True), help="Write it to this file."
)
def command(output: Path | None) -> None:
    """Print the JSON Schema of agents.yaml, for editors."""
    import json

    from supervise.config import json_schema

    text = json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"
    if output:
        output.write_text(text, encoding="utf-8")
    else:
        click.echo(text, nl=False)
