"""`supervise init`: a first agents.yaml, from what this folder or the running programs suggest. Asks nothing."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.option(
    "-f",
    "--file",
    default="agents.yaml",
    show_default=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write it here.",
)
@click.option("--project", metavar="NAME", help="The project's name; else that of the folder.")
@click.option("--from-processes", is_flag=True, help="Propose the Python programs that you run on this machine now.")
def command(file: Path, project: str | None, from_processes: bool) -> None:
    """Write a first agents.yaml, with proposals from this folder.

    Scripts that look like entry points become agents; nothing is run or imported. An existing file is never replaced.
    The JSON Schema for editors is written beside it.
    """
    import json
    import os

    from supervise.cli.output import short
    from supervise.config import json_schema
    from supervise.errors import SuperviseError
    from supervise.observe.scan import scan
    from supervise.proposals import agents_yaml, from_folder
    from supervise.proposals import from_processes as from_running
    from supervise.text import counted

    file = file.absolute()
    proposals = from_running(scan().processes, uid=os.getuid()) if from_processes else from_folder(file.parent)
    text = agents_yaml(project or file.parent.name, proposals, folder=file.parent)
    try:
        with file.open("x", encoding="utf-8") as new:
            new.write(text)
    except FileExistsError:
        raise SuperviseError(
            f'cannot write "{short(file)}": it is there already; choose another with -f FILE'
        ) from None
    schema = file.with_name("agents.schema.json")
    schema.write_text(json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    click.echo(f"wrote {short(file)} with {counted(len(proposals), 'agent')}, and {schema.name} for editors")
    if file.parent.stat().st_uid == 0:
        click.echo(
            "this folder belongs to root: give it to whoever shall run the agents (`chown -R USER: .`), "
            "or write `user: NAME` for each"
        )
    click.echo("next: look at it, then `supervise check`, then `supervise plan`")
