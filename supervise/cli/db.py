"""`supervise db`: the tables in Supabase that all hosts share; what a person does to them by hand."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from supervise.cli.options import json_option, user_option
from supervise.cli.shared_database import SECRET, shared_database, url_option

if TYPE_CHECKING:
    from supervise.stores.migrations import Migration

HOST = click.option("--host", metavar="HOST", help="Whose agent, where several hosts have one of that name.")
DAYS = 90
LEAST = timedelta(minutes=1)
"""Whoever keeps less of history has mistyped."""
SWEPT = "silent hosts are looked for by pg_cron, and by each host that lives"
NOT_SWEPT = (
    "silent hosts are looked for by each host that lives; also where none does, "
    "with the extension pg_cron and another `supervise db migrate`"
)


@click.group()
def command() -> None:
    """Look after the tables in Supabase.

    All but `retry` needs the database itself: SUPABASE_DB_URL, or --url-file. Hosts write through the API, without it.
    """


@command.command("retry")
@user_option
def retry(as_user: bool) -> None:
    """Send once more what these tables have refused.

    It was set aside, so that it holds nothing else up; `supervise doctor` says what that is and why.
    """
    from supervise.cli.reconciler import asked
    from supervise.text import counted

    count = int(asked(as_user, "replica-retry"))
    click.echo(f"✓ {counted(count, 'item')} will be sent again" if count else "nothing was refused")


@command.command("migrate")
@url_option
@json_option
def migrate(url_file: Path | None, as_json: bool) -> None:
    """Bring the tables up to date.

    Each step is one transaction and runs once; an `agent_status` that was made by hand is taken over with its rows.
    """
    from supervise.cli.output import print_json, print_warning
    from supervise.stores import postgres
    from supervise.stores.ledger import steps
    from supervise.text import counted

    done = []

    def tell(step: Migration) -> None:
        done.append(step.name)
        if not as_json:
            click.echo(f"✓ {step.name}")

    with shared_database(url_file) as db:
        postgres.migrate(db, tell=tell, notice=print_warning)
    if as_json:
        print_json({"done_now": done, "steps": len(steps())})
    else:
        click.echo(f"the database is up to date: {counted(len(steps()), 'step')}")


@command.command("status")
@url_option
@json_option
def status(url_file: Path | None, as_json: bool) -> None:
    """Show which steps have run; 1 if any is missing."""
    from supervise.cli.output import print_json
    from supervise.errors import ExitCode
    from supervise.stores import postgres
    from supervise.stores.ledger import steps

    with shared_database(url_file) as db:
        todo = postgres.todo(db)
        sweeps = postgres.sweeps_itself(db)
    if as_json:
        ran = [{"step": one.name, "done": one not in todo} for one in steps()]
        print_json({"up_to_date": not todo, "steps": ran, "swept_by_pg_cron": sweeps})
    else:
        for one in steps():
            click.echo(f"{'…' if one in todo else '✓'} {one.name}{'  (missing)' if one in todo else ''}")
        click.echo("`supervise db migrate` runs what is missing" if todo else "the database is up to date")
        click.echo(SWEPT if sweeps else NOT_SWEPT)
    if todo:
        raise click.exceptions.Exit(ExitCode.FAILED)


@command.command("export")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default="supabase/migrations")
def export(folder: Path) -> None:
    """Write the steps as files for the Supabase CLI.

    Into FOLDER, else supabase/migrations; `supabase db push` runs them. Files that are there stay as they are.
    """
    from supervise.stores.exporting import export as write
    from supervise.stores.ledger import steps

    new = write(steps(), folder, now=datetime.now(UTC))
    for file in new:
        click.echo(f"wrote {file}")
    click.echo("next: `supabase db push`" if new else f"all steps are in {folder} already")


@command.command("sql")
def sql() -> None:
    """Print all steps, for an editor or psql.

    A step that has run there already does nothing.
    """
    from supervise.stores.ledger import script, steps

    click.echo(script(steps()), nl=False)


@command.command("prune")
@click.option("--events", default="90d", show_default=True, metavar="SPAN", help="How long events are kept.")
@click.option("--samples", default="30d", show_default=True, metavar="SPAN", help="How long samples are kept.")
@url_option
@json_option
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def prune(events: str, samples: str, url_file: Path | None, as_json: bool, yes: bool) -> None:
    """Delete old history of all hosts.

    A SPAN is such as 90d, or `infinity` for what stays.
    """
    from supervise.cli.output import agree, print_json, utc_now
    from supervise.stores.shared import prune as delete
    from supervise.text import counted

    now = utc_now()
    before = _last_kept(events, now), _last_kept(samples, now)
    with shared_database(url_file) as db:
        if not yes:
            agree(f"Delete the events of all hosts older than {events}, and the samples older than {samples}?")
        gone = delete(db, *before)
    if as_json:
        print_json({"events": gone[0], "samples": gone[1]})
    else:
        click.echo(f"deleted {counted(gone[0], 'event')} and {counted(gone[1], 'sample')}")


def _last_kept(text: str, now: datetime) -> datetime:
    """Before which history goes. Raises UsageError."""
    from supervise.cli.spans import length
    from supervise.errors import UsageError

    kept = length(text)
    if kept < LEAST:
        raise UsageError(f'"{text}" keeps nothing: say for how long history is kept, 1min at least')
    try:
        return now - kept
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC)


@command.command("disown")
@click.argument("agent")
@HOST
@url_option
def disown(agent: str, host: str | None, url_file: Path | None) -> None:
    """Take an agent from its host, for another to take over.

    AGENT is a name or a title. Its row becomes nobody's, until a host reports an agent of that title.
    """
    from supervise.stores.shared import disown as take
    from supervise.text import shown

    with shared_database(url_file) as db:
        was, title = take(db, agent, host)
    click.echo(
        f"✓ {shown(title)}: taken from {shown(was)}; the next host that has an agent of that title takes it over"
    )


@command.command("forget")
@click.argument("agent")
@HOST
@url_option
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def forget(agent: str, host: str | None, url_file: Path | None, yes: bool) -> None:
    """Delete an agent's row, events and history.

    AGENT is a name or a title. While its host has it, its row comes back with the next report.
    """
    from supervise.cli.output import agree
    from supervise.stores.shared import forget_agent
    from supervise.text import shown

    if not yes:
        agree(f'Delete all that is kept of "{shown(agent)}" in the shared database?')
    with shared_database(url_file) as db:
        was, title = forget_agent(db, agent, host)
    click.echo(f"✓ {shown(title)}: forgotten{f' of {shown(was)}' if was else ''}")


@command.command("host-key")
@click.argument("host")
@click.option("--days", type=click.IntRange(1, DAYS), default=DAYS, show_default=True, help="How long it lasts.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write it to this new file, mode 0600.")
@click.option(
    "--secret-file", type=click.Path(path_type=Path, dir_okay=False), help=f"A file with the JWT secret; else {SECRET}."
)
@url_option
@json_option
def host_key(
    host: str, days: int, out: Path | None, secret_file: Path | None, url_file: Path | None, as_json: bool
) -> None:
    """Make the key with which HOST writes its own rows.

    It may write nothing of other hosts, no locks and no commands; `supervise hosts revoke HOST` ends it at once.
    Printed, or written by --out. Signed with the project's JWT secret (Supabase: Settings, JWT Keys).
    """
    from supervise.cli.output import local, print_json
    from supervise.cli.shared_database import secret_of
    from supervise.errors import UsageError
    from supervise.stores.shared import new_key
    from supervise.stores.tokens import SHORTEST_SECRET
    from supervise.text import shown

    secret = secret_of(SECRET, secret_file, f"say the project's JWT secret: set {SECRET}, or use --secret-file FILE")
    if len(secret) < SHORTEST_SECRET:
        raise UsageError(f"that is no JWT secret: it has fewer than {SHORTEST_SECRET} characters")
    with shared_database(url_file) as db, _private(out) as file:
        token, ends = new_key(db, host, days=days, secret=secret)
        if file or not as_json:
            click.echo(token, file=file)
    if as_json:
        print_json({"host": host, "key": None if out else token, "file": out, "expires_at": ends})
    else:
        click.echo(f"✓ {shown(host)}: may write its own rows until {local(ends)}", err=True)


@contextmanager
def _private(out: Path | None) -> Iterator[TextIO | None]:
    """A new file that only its owner may read, gone again if nothing comes of it; None for standard output."""
    from supervise.errors import SuperviseError

    if out is None:
        yield None
        return
    try:
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        why = "it is there already" if isinstance(error, FileExistsError) else error.strerror
        raise SuperviseError(f'cannot write "{out}": {why}') from error
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            yield file
    except BaseException:
        out.unlink(missing_ok=True)
        raise
