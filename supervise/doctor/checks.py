"""Every check in the order in which they are told. A new one is a module and a line here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from supervise.doctor.accounts import accounts
from supervise.doctor.alerts import alerts
from supervise.doctor.beats import beats
from supervise.doctor.bus import bus
from supervise.doctor.clock import clock
from supervise.doctor.config import config
from supervise.doctor.daemon import daemon
from supervise.doctor.drift import drift
from supervise.doctor.findings import Finding
from supervise.doctor.installation import Installation
from supervise.doctor.journal import journal
from supervise.doctor.linger import linger
from supervise.doctor.manifests import manifests
from supervise.doctor.polkit import polkit
from supervise.doctor.probes import probes
from supervise.doctor.programs import programs
from supervise.doctor.sockets import sockets
from supervise.doctor.store import store
from supervise.doctor.supabase import supabase
from supervise.doctor.units import units
from supervise.model import Scope

BOTH = (Scope.SYSTEM, Scope.USER)


@dataclass(frozen=True, slots=True)
class Check:
    """`well`: what is said where it finds nothing. `of_host`: it says something also where nothing is installed.
    `of_projects`: it looks at what the manifests say, so without them it says nothing."""

    name: str
    look: Callable[[Installation], Iterator[Finding]]
    well: str
    scopes: tuple[Scope, ...] = BOTH
    of_host: bool = False
    of_projects: bool = False
    limit: timedelta = timedelta(seconds=5)


CHECKS = (
    Check("bus", bus, "systemd answers.", of_host=True),
    Check("daemon", daemon, "The reconciler runs."),
    Check("sockets", sockets, "systemd listens on both sockets."),
    Check("polkit", polkit, "The reconciler may start and stop agents, and nothing else.", (Scope.SYSTEM,)),
    Check("manifests", manifests, "All manifests are whole and can be read.", limit=timedelta(seconds=10)),
    Check("units", units, "All files are there as they were written.", of_projects=True, limit=timedelta(seconds=10)),
    Check("drift", drift, "Nothing was changed beside us.", of_projects=True, limit=timedelta(seconds=10)),
    Check("config", config, "What is written is what is installed.", of_projects=True, limit=timedelta(seconds=30)),
    Check(
        "programs",
        programs,
        "All programs can be reached by their users.",
        of_projects=True,
        limit=timedelta(seconds=10),
    ),
    Check("probes", probes, "All probes can be asked.", of_projects=True, limit=timedelta(seconds=10)),
    Check("accounts", accounts, "All users and groups are there.", (Scope.SYSTEM,), of_projects=True),
    Check("store", store, "The store is private and has room.", limit=timedelta(seconds=10)),
    Check("alerts", alerts, "Alerts get through, as far as can be seen.", of_projects=True),
    Check("supabase", supabase, "No copies are wanted, or they get through.", of_projects=True),
    Check("beats", beats, "There is room for the beats of all agents.", of_host=True),
    Check("journal", journal, "The journal is kept and can be read.", of_host=True),
    Check("clock", clock, "The clock is right.", of_host=True),
    Check("linger", linger, "Your agents outlive a logout.", (Scope.USER,)),
)
