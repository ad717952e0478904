"""One run of `plan`, `install` or `uninstall`: look, plan, and under the lock look and plan again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from supervise.clock import now
from supervise.control.informing import ByControl
from supervise.errors import PlatformError, SuperviseError
from supervise.holds import read_holds
from supervise.install.apply import Applied, Report, apply, recover
from supervise.install.disk import read_disk
from supervise.install.lock import install_lock
from supervise.install.plan import Disk, Kind, Plan, Seen, Target, plan
from supervise.install.verify import complaints
from supervise.model import Findings, Process, UnitFile
from supervise.observe.match import look
from supervise.places import Places
from supervise.platforms import Platform
from supervise.platforms.systemd.platform import Systemd


@dataclass(frozen=True, slots=True)
class Session:
    """What is wanted, where, and whom to ask; without a systemd (None) a plan assumes that nothing runs."""

    target: Target
    places: Places
    platform: Platform | None

    async def plan(self) -> Plan:
        disk = self._disk()
        return plan(self.target, disk, await self._seen(disk), places=self.places)

    async def install(
        self, report: Report, agreed: Callable[[Plan], bool] | None = None
    ) -> tuple[Plan, Applied | None]:
        """The plan that was carried out, and what that did. With nothing to do not even the lock is taken.

        `agreed` is asked about the plan made under the lock, since the world may have moved since it was shown.
        """
        if (before := await self.plan()).empty:
            return before, None
        if self.platform is None:
            raise PlatformError(
                "cannot install: there is no systemd to talk to; `supervise render -o DIR` writes files elsewhere"
            )
        try:
            with install_lock(self.places):
                done = await self._under_lock(self.platform, report, agreed)
            if done[1]:
                await ByControl(self.places.control, by="install").look()
            return done
        except OSError as error:
            where = error.filename or self.places.units
            raise SuperviseError(
                f'cannot write "{where}": {error.strerror}; the next install goes on from here'
            ) from error

    async def _under_lock(
        self, platform: Platform, report: Report, agreed: Callable[[Plan], bool] | None
    ) -> tuple[Plan, Applied | None]:
        await recover(platform, self.places, report)
        final = await self.plan()
        if final.empty or (agreed and not agreed(final)):
            return final, None
        self._verified(final)
        old = self._disk().manifests.get(self.target.project)
        return final, await apply(final, platform, places=self.places, old=old, report=report)

    def _disk(self) -> Disk:
        return read_disk(self.places, self.target.files)

    async def _seen(self, disk: Disk) -> Seen:
        specs = self.target.specs
        known = disk.manifests.get(self.target.project)
        names = {spec.name for spec in (*specs, *(known.agents if known else ()))}
        others = [one for project, one in disk.manifests.items() if project != self.target.project]
        seen = look([*specs, *(spec for one in others for spec in one.agents)])
        snapshot = await self.platform.snapshot(names, endings=False) if self.platform else None
        return Seen(
            states=snapshot.states if snapshot else {},
            outside={spec.name: _copies(spec.name, seen) for spec in specs},
            kept_down=frozenset({*read_holds(self.places), *seen.foreground}),
            at=snapshot.at if snapshot else now(),
        )

    def _verified(self, final: Plan) -> None:
        """Ask systemd about the files that change, before any of them is written."""
        changing = {change.path for change in final.changes if change.kind is not Kind.REMOVE}
        agents = {change.agent for change in final.changes if change.path in changing and change.agent}
        files: list[UnitFile] = [file for file in self.target.files if file.agent is None or file.agent in agents]
        if agents and (said := complaints(files, places=self.places)):
            raise SuperviseError("cannot install: systemd does not take the units: " + "; ".join(said))


def _copies(name: str, seen: Findings) -> tuple[Process, ...]:
    """What runs outside of its unit and is its own, or may be."""
    return (*seen.outside.get(name, ()), *(doubt.process for doubt in seen.doubtful(name)))


async def open_platform(places: Places) -> Systemd | None:
    """A connected platform, or None where there is no systemd to connect to."""
    try:
        return await Systemd(places).__aenter__()
    except PlatformError:
        return None
