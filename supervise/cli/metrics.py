"""`supervise metrics`: the reconciler and its agents in numbers, as Prometheus reads them."""

from __future__ import annotations

import click

from supervise.cli.options import user_option


@click.command()
@user_option
def command(as_user: bool) -> None:
    """Print the metrics that Prometheus reads.

    To have them scraped, write `reconciler: {metrics_listen: 127.0.0.1:9750}` into agents.yaml.
    """
    import asyncio
    import os

    from supervise.cli.wanted import scope_of
    from supervise.control.client import connect
    from supervise.places import places

    there = places(scope_of(as_user), os.environ, uid=os.getuid())

    async def ask() -> str:
        async with connect(there.control) as control:
            return str(await control.ask("metrics"))

    click.echo(asyncio.run(ask()), nl=False)
