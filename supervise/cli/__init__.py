"""The command line: one thin file per command, each loaded only when it is called, so that `--help` is quick."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib import import_module

import click

from supervise import __version__
from supervise.errors import ConfigError, ExitCode, SuperviseError

COMMANDS = {
    "On agents.yaml": {
        "init": "Write a first agents.yaml, with proposals from this folder.",
        "check": "Say everything that is wrong with agents.yaml, or that nothing is.",
        "schema": "Print the JSON Schema of agents.yaml, for editors.",
        "render": "Print the units that agents.yaml becomes.",
        "plan": "Show what an install would change on this host.",
        "install": "Bring this host's units in line with agents.yaml.",
        "apply": "Install, start and restart, after one question.",
        "uninstall": "Stop a project's agents and remove what was installed of it.",
    },
    "On what is installed": {
        "status": "Show how agents are; one of them in detail.",
        "top": "Show all agents live, with keys to act on them.",
        "start": "Start agents that do not run.",
        "stop": "Stop agents.",
        "restart": "Restart agents, in batches if wanted.",
        "force-stop": "Kill agents at once, and every copy of them.",
        "trial": "Start an agent, or watch one that runs, and say whether it is well.",
        "hold": "Forbid agents to run until they are released.",
        "release": "Take a hold back.",
        "events": "Show what happened, when, and who was behind it.",
        "lock": "Fix what is shown of agents for a time.",
        "unlock": "Show the truth again.",
        "ps": "List every process of every agent, wherever it runs.",
        "fix": "Look at everything anew, put right what is wrong, and say what.",
        "adopt": "Take over a process that runs outside of its unit.",
        "presets": "Show and change how health is scored.",
        "logs": "Show what agents wrote.",
        "run": "Run one agent in the foreground, as its unit would.",
        "env": "Print the environment that an agent gets.",
    },
    "On supervise": {
        "reconcile": "Keep the status of all agents true, until stopped.",
        "metrics": "Print the metrics that Prometheus reads.",
        "db": "Look after the tables in Supabase.",
        "hosts": "Show the hosts that write to Supabase.",
        "doctor": "Say what is wrong with this installation, and what to do.",
        "completion": "Print the completion script of a shell.",
    },
}

MANY = 100
"""Problems that are printed at most."""


class Commands(click.Group):
    """The commands by topic; a command's module is imported when it is run."""

    def list_commands(self, context: click.Context) -> list[str]:
        return [name for topic in COMMANDS.values() for name in topic]

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in self.list_commands(context):
            return None
        module = import_module(f"supervise.cli.{name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0] if args else ""
        if name and name not in self.list_commands(context) and not name.startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(name, self.list_commands(context), n=1)
            context.fail(f'there is no command "{name}"{f"; did you mean {near[0]!r}?" if near else ""}')
        return super().resolve_command(context, args)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        for topic, commands in COMMANDS.items():
            with formatter.section(topic):
                formatter.write_dl(list(commands.items()))


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", message="supervise %(version)s")
@click.option("-q", "--quiet", is_flag=True, help="Print only what was asked for and errors.")
@click.option("-v", "--verbose", is_flag=True, help="Print more: whole files in plans, tracebacks of errors.")
@click.option("--no-color", is_flag=True, help="No colours; so does NO_COLOR.")
@click.pass_context
def cli(context: click.Context, quiet: bool, verbose: bool, no_color: bool) -> None:
    """Agents described once in agents.yaml, run by the operating system."""
    context.obj = {"quiet": quiet, "verbose": verbose}
    if no_color or os.environ.get("NO_COLOR"):
        context.color = False


def main() -> None:
    """The entry point: errors become one line each and an exit code."""
    try:
        code = cli.main(prog_name="supervise", standalone_mode=False)
    except SuperviseError as error:
        if "-v" in sys.argv or "--verbose" in sys.argv:
            raise
        for line in _lines(error):
            click.echo(line, err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(ExitCode.USAGE)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except BrokenPipeError:  # `supervise logs | head`: the reader has had enough
        _let_go_of_output()
        sys.exit(ExitCode.OK)
    except OSError as error:
        click.echo(f"supervise: cannot go on: {error}", err=True)
        _let_go_of_output()
        sys.exit(ExitCode.FAILED)
    sys.exit(code if isinstance(code, int) else ExitCode.OK)


def _let_go_of_output() -> None:
    """What is still buffered goes nowhere, or Python would try once more to write it at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _lines(error: SuperviseError) -> Iterator[str]:
    from supervise.cli.output import hinted
    from supervise.text import shown

    if isinstance(error, ConfigError):
        from supervise.cli.output import problem_line

        count = len(error.problems)
        yield from (hinted(problem_line(problem)) for problem in error.problems[:MANY])
        if count > MANY:
            yield f"… and {count - MANY} more"
        yield f"supervise: {count} problem{'s' if count > 1 else ''}; nothing was changed"
    else:
        yield f"supervise: {shown(hinted(str(error)))}"
