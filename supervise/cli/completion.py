"""`supervise completion`: the script that makes a shell complete commands and agent names."""

from __future__ import annotations

import click

INSTALL = {
    "bash": 'eval "$(supervise completion bash)"   # in ~/.bashrc',
    "zsh": 'eval "$(supervise completion zsh)"    # in ~/.zshrc',
    "fish": "supervise completion fish | source    # in ~/.config/fish/config.fish",
}


@click.command(epilog="\b\n" + "\n".join(INSTALL.values()))
@click.argument("shell", type=click.Choice(list(INSTALL)))
def command(shell: str) -> None:
    """Print the completion script of a shell."""
    from click.shell_completion import get_completion_class

    from supervise.cli import cli

    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(cli, {}, "supervise", "_SUPERVISE_COMPLETE").source())
