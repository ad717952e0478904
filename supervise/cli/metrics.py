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
    from supervise.cli.reconciler import asked

    click.echo(asked(as_user, "metrics"), nl=False)
