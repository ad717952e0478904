"""Mutations of the code that decides, of the watch and of the probes: each, in a copy, must fail a test.

Run by `scripts/mutate`. A mutation that no test notices, or whose text is not found just once, is an error.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.mutants import Mutation, replica, schema

ROOT = Path(__file__).parents[1]
NEEDED = ("pyproject.toml", "supervise", "tests", "scripts")

HEART = "supervise/decide/__init__.py"
JUDGE = "supervise/decide/judge.py"
PAST = "supervise/decide/past.py"
REMEDY = "supervise/decide/remedy.py"
HEALTH = "supervise/decide/health.py"
PRESETS = "supervise/decide/presets.py"
USAGE = "supervise/decide/usage.py"
SIGNS = "supervise/decide/signs.py"
OUTDATED = "supervise/decide/outdated.py"
EVENTS = "supervise/decide/events.py"
PROBES = "supervise/decide/probes.py"
NETWORK = "supervise/decide/network.py"
WATCH = "supervise/platforms/systemd/watch.py"
PLATFORM = "supervise/platforms/systemd/platform.py"
FOLLOWING = "supervise/reconcile/following.py"
AGENDA = "supervise/reconcile/agenda.py"
METER = "supervise/observe/usage.py"
REVISION = "supervise/observe/revision.py"
CHOICES = "supervise/reconcile/presets.py"
ASKING = "supervise/reconcile/probing.py"
ASK = "supervise/probes/__init__.py"
HTTP = "supervise/probes/http.py"
TCP = "supervise/probes/tcp.py"
REACHING = "supervise/probes/reaching.py"
TESTS = {
    WATCH: "tests/platforms/systemd/test_watch.py",
    PLATFORM: "tests/platforms/systemd/test_watch.py",
    FOLLOWING: "tests/reconcile/test_following.py",
    AGENDA: "tests/reconcile/test_agenda.py",
    METER: "tests/observe/test_usage.py",
    REVISION: "tests/observe/test_revision.py",
    CHOICES: "tests/reconcile/test_presets.py",
    ASKING: "tests/reconcile/test_probing.py",
    **dict.fromkeys((ASK, HTTP, TCP, REACHING), "tests/probes"),
    **replica.TESTS,
    **schema.TESTS,
}
"""The tests that must notice; of all else those of the heart."""

MUTATIONS = (
    Mutation(HEART, "copied or SHOWN(last) == SHOWN(row)", "copied"),
    Mutation(HEART, "UNSEEN = timedelta(seconds=5)", "UNSEEN = timedelta(seconds=6)"),
    Mutation(SIGNS, "COARSE = timedelta(seconds=5)", "COARSE = timedelta(seconds=6)"),
    Mutation(HEART, "MASS = 0.3", "MASS = 0.4"),
    Mutation(HEART, "FEWEST = 3", "FEWEST = 4"),
    Mutation(HEART, "count >= FEWEST", "count > FEWEST"),
    Mutation(HEART, "count > MASS *", "count >= MASS *"),
    Mutation(HEART, "now.monotonic - since < UNSEEN", "now.monotonic - since <= UNSEEN"),
    Mutation(HEART, "lock.until <= now.wall", "lock.until < now.wall"),
    Mutation(HEART, "shared - before]", "shared]"),
    Mutation(HEART, "if (shared, cut) != (before, cut_before):", "if False:"),
    Mutation(HEART, "if (shared, cut) != (before, cut_before):", "if shared != before:"),
    Mutation(HEART, "reason is Reason.SILENT and Reason.SILENT in shared", "reason is Reason.SILENT and False"),
    Mutation(HEART, "acting=seen.acting", "acting=False"),
    Mutation(SIGNS, "SEEN = timedelta(seconds=30)", "SEEN = timedelta(seconds=31)"),
    Mutation(SIGNS, ">= _coarseness(", "> _coarseness("),
    Mutation(SIGNS, "if source is Source.OBSERVED:", "if False:"),
    Mutation(SIGNS, "before is None or", ""),
    Mutation(SIGNS, "row.observed_reason is not Reason.AS_WANTED", "False"),
    Mutation(SIGNS, "beat.activity and beat.activity !=", "beat.activity !="),
    Mutation(SIGNS, "watchdog / 3", "watchdog / 2"),
    Mutation(HEART, "in (Phase.RESTARTING, Phase.FAILED) and not", "in (*DOWN, Phase.RESTARTING) and not"),
    Mutation(HEART, "Phase.FAILED) and not unit.by_request", "Phase.FAILED)"),
    Mutation(HEART, "if unit.phase is Phase.QUEUED:", "if False:"),
    Mutation(HEART, "last.since if last.reason is Reason.LOCKED else now.wall", "now.wall"),
    Mutation(HEART, "if last.reason is not LOCKED:", "if True:"),
    Mutation(HEART, "if last.past.boot == now.boot and", "if"),
    Mutation(HEART, "at < known[0] <= case.now.wall", "at < known[0]"),
    Mutation(HEART, "at < known[0] <= case.now.wall", "False"),
    Mutation(HEART, "for moment in limits if moment > now", "for moment in limits"),
    Mutation(HEART, "None if past.started else expected_since(case)", "expected_since(case)"),
    Mutation(HEART, "now + (case.hold.at + HOLD_GRACE - case.now.wall)", "now + HOLD_GRACE"),
    Mutation(HEART, "stopped_with=other", "stopped_with=None"),
    Mutation(HEART, "return min(max(moment, last.since) if last else moment, now.wall)", "return moment"),
    Mutation(HEART, "(last.restarts if last else 0)", "0"),
    Mutation(HEART, "last.restarts + told", "last.restarts"),
    Mutation(HEART, "since=known.since if known else", "since=last.since if last else"),
    Mutation(HEART, "row, () if known else (", "row, ("),
    Mutation(HEART, "if moment > now]", "if moment >= now]"),
    Mutation(HEART, "case.now.wall - (case.now.monotonic - sign)", "case.now.wall + (case.now.monotonic - sign)"),
    Mutation(JUDGE, "case.host.forgets or ", ""),
    Mutation(JUDGE, "DOWN = (Phase.ABSENT, Phase.INACTIVE, Phase.FAILED)", "DOWN = (Phase.ABSENT, Phase.INACTIVE)"),
    Mutation(JUDGE, "UP = (Phase.ACTIVE, Phase.RESTARTING)", "UP = (Phase.ACTIVE,)"),
    Mutation(JUDGE, "TOGETHER = timedelta(seconds=5)", "TOGETHER = timedelta(seconds=6)"),
    Mutation(JUDGE, "abs(required.left_active - ended) <= TOGETHER", "abs(required.left_active - ended) < TOGETHER"),
    Mutation(JUDGE, "case.now.wall - ended <= TOGETHER", "case.now.wall - ended < TOGETHER"),
    Mutation(JUDGE, "if just_now and not required.active:", "if not required.active:"),
    Mutation(JUDGE, "NEVER_STARTED = timedelta(seconds=5)", "NEVER_STARTED = timedelta(seconds=6)"),
    Mutation(JUDGE, ">= NEVER_STARTED", "> NEVER_STARTED"),
    Mutation(JUDGE, "HOLD_GRACE = timedelta(seconds=5)", "HOLD_GRACE = timedelta(seconds=6)"),
    Mutation(JUDGE, "now.wall - hold.at < HOLD_GRACE", "now.wall - hold.at <= HOLD_GRACE"),
    Mutation(JUDGE, "timedelta(seconds=-1) <= now.wall", "timedelta(seconds=-1) < now.wall"),
    Mutation(JUDGE, "if unit.phase is Phase.STOPPING or (", "if ("),
    Mutation(JUDGE, "unit.ended_at < intent.at", "unit.ended_at <= intent.at"),
    Mutation(JUDGE, "unit.exit and not unit.by_request", "unit.exit"),
    Mutation(JUDGE, "(case.beat.activity if case.beat else", "((case.beat and case.beat.activity) or"),
    Mutation(JUDGE, "(_hidden, (*DOWN, Phase.RESTARTING))", "(_hidden, DOWN)"),
    Mutation(JUDGE, ">= spec.restart.loop.count", "> spec.restart.loop.count"),
    Mutation(JUDGE, "    if past.half_open:\n        return bool(past.deaths)\n", ""),
    Mutation(JUDGE, "if loop is None or (", "if ("),
    Mutation(JUDGE, "unit.started_monotonic > intent.monotonic", "unit.started_monotonic >= intent.monotonic"),
    Mutation(JUDGE, "intent.boot != case.now.boot", "False"),
    Mutation(JUDGE, "beat.at.monotonic < unit.started_monotonic", "beat.at.monotonic <= unit.started_monotonic"),
    Mutation(JUDGE, "if unit.by_request and not case.past.quarantined:", "if unit.by_request:"),
    Mutation(
        JUDGE,
        "    (_probe_failing, ACTIVE),\n    (_duplicate, ACTIVE),",
        "    (_duplicate, ACTIVE),\n    (_probe_failing, ACTIVE),",
    ),
    Mutation(
        JUDGE,
        "    (_hidden, (*DOWN, Phase.RESTARTING)),\n    (_orphan, DOWN),",
        "    (_orphan, DOWN),\n    (_hidden, (*DOWN, Phase.RESTARTING)),",
    ),
    Mutation(JUDGE, "    (_stopped, DOWN),\n    (_given_up, DOWN),", "    (_given_up, DOWN),\n    (_stopped, DOWN),"),
    Mutation(
        JUDGE,
        "    (_condition, DOWN),\n    (_dependency, (Phase.INACTIVE,)),",
        "    (_dependency, (Phase.INACTIVE,)),\n    (_condition, DOWN),",
    ),
    Mutation(JUDGE, "    (_late, ACTIVE),\n    (_idle, ACTIVE),", "    (_idle, ACTIVE),\n    (_late, ACTIVE),"),
    Mutation(
        JUDGE, "    (_own_report, ACTIVE),\n    (_late, ACTIVE),", "    (_late, ACTIVE),\n    (_own_report, ACTIVE),"
    ),
    Mutation(
        JUDGE,
        "    (_crash_looping, UP),\n    (_restarting, (Phase.RESTARTING,)),",
        "    (_restarting, (Phase.RESTARTING,)),\n    (_crash_looping, UP),",
    ),
    Mutation(
        JUDGE, "    (_not_ready, ACTIVE),\n    (_silent, ACTIVE),", "    (_silent, ACTIVE),\n    (_not_ready, ACTIVE),"
    ),
    Mutation(
        JUDGE,
        "    (_silent, ACTIVE),\n    (_probe_failing, ACTIVE),",
        "    (_probe_failing, ACTIVE),\n    (_silent, ACTIVE),",
    ),
    Mutation(
        JUDGE,
        "case.now.monotonic - counted_from(case, unit) < limit:",
        "case.now.monotonic - counted_from(case, unit) <= limit:",
    ),
    Mutation(JUDGE, "case.seen.failed_probes < probe.failures", "case.seen.failed_probes <= probe.failures"),
    Mutation(JUDGE, "answer is None or answer.ok or", "answer is None or"),
    Mutation(JUDGE, "return case.host.asks and known", "return known"),
    Mutation(JUDGE, "case.past.unready == unit.incarnation or not", "not"),
    Mutation(PROBES, "now >= call", "now > call"),
    Mutation(PROBES, "spec.startup_timeout + spec.ready.interval + spec.ready.timeout", "spec.startup_timeout"),
    Mutation(PROBES, "past.unready != life and is_unheard", "is_unheard"),
    Mutation(PROBES, "return replace(past, ready=life, unready=None)", "return replace(past, ready=life)"),
    Mutation(PROBES, "if past.unready != life else past", "if False else past"),
    Mutation(PROBES, "answer = seen.ready if overdue else None", "answer = seen.ready"),
    Mutation(PROBES, "unit.started_monotonic >= spec.startup_timeout", "unit.started_monotonic > spec.startup_timeout"),
    Mutation(PROBES, "return replace(past, network_error=None) if past.network_error else past", "return past"),
    Mutation(PROBES, "past.ready == unit.incarnation", "past.ready is not None"),
    Mutation(NETWORK, "HALF = 0.5", "HALF = 0.6"),
    Mutation(NETWORK, "FEWEST = 3", "FEWEST = 4"),
    Mutation(NETWORK, "count >= FEWEST", "count > FEWEST"),
    Mutation(NETWORK, "count >= HALF *", "count > HALF *"),
    Mutation(NETWORK, "row.phase is Phase.ACTIVE and", ""),
    Mutation(NETWORK, "probe.kind is not ProbeKind.COMMAND", "True"),
    Mutation(NETWORK, "reason in FAILING and past.network_error in cut", "reason in FAILING"),
    Mutation(
        NETWORK,
        "    if not any(row.observed_reason in FAILING for row in rows.values()):\n        return frozenset()\n",
        "",
    ),
    Mutation(NETWORK, "probe is None or past.network_error not in over", "probe is None"),
    Mutation(
        NETWORK,
        "max(now.monotonic + _asked_anew(probe), past.not_before or timedelta())",
        "now.monotonic + _asked_anew(probe)",
    ),
    Mutation(NETWORK, "* probe.failures", "* 1"),
    Mutation(NETWORK, "sorted(cut - before)", "sorted(cut)"),
    Mutation(NETWORK, "sorted(before - cut)", "sorted(before)"),
    Mutation(HEART, "over, heard = cut_before - cut,", "over, heard = cut - cut_before,"),
    Mutation(HEART, "unit.incarnation in (last.incarnation, None)", "True"),
    Mutation(HEART, "else min(max(moment, last.since), at)", "else max(moment, last.since)"),
    Mutation(HEART, "else min(max(moment, last.since), at)", "else min(moment, at)"),
    Mutation(HEART, "unit.phase is Phase.STARTING and last.phase is Phase.ACTIVE", "False"),
    Mutation(EVENTS, "if over in COPIED and", "if False and"),
    Mutation(EVENTS, "in OWN_WORDS or well_again", "in OWN_WORDS"),
    Mutation(WATCH, "        reading.late.pop(unit, None)\n", ""),
    Mutation(WATCH, ", **reading.signalled.get(unit, {})", ""),
    Mutation(WATCH, " if unit not in one.known", ""),
    Mutation(PLATFORM, "names is not None or ", ""),
    Mutation(FOLLOWING, " or self._answered >= mine", ""),
    Mutation(HEART, "past = network.patient(past, spec, over, now)", "pass"),
    Mutation(HEART, "return silent or network.spares(verdict.reason, case.past, cut)", "return silent"),
    Mutation(REMEDY, "unit.phase is Phase.ACTIVE and case.seen.ready is not None", "case.seen.ready is not None"),
    Mutation(REMEDY, "unit.phase is Phase.ACTIVE and case.seen.ready is not None", "unit.phase is Phase.ACTIVE"),
    Mutation(PAST, "DEAD = (Phase.RESTARTING, Phase.FAILED)", "DEAD = (Phase.RESTARTING,)"),
    Mutation(PAST, "MOST_DEATHS = 50", "MOST_DEATHS = 51"),
    Mutation(PAST, "SPREAD = 0.2", "SPREAD = 0.3"),
    Mutation(PAST, "MASS_MAX = timedelta(minutes=2)", "MASS_MAX = timedelta(minutes=3)"),
    Mutation(PAST, "ON_TIME = timedelta(seconds=10)", "ON_TIME = timedelta(seconds=11)"),
    Mutation(PAST, "due > ON_TIME", "due >= ON_TIME"),
    Mutation(PAST, "at > now.monotonic - loop.interval", "at >= now.monotonic - loop.interval"),
    Mutation(PAST, "restarts - known - (past.counted == before)", "restarts - known"),
    Mutation(PAST, "past.counted != life and", ""),
    Mutation(PAST, "settle:\n        return past", "settle / 2:\n        return past"),
    Mutation(PAST, "if unit.incarnation == past.retry_life:\n        return past", "pass"),
    Mutation(PAST, "unit.incarnation in (None, past.retry_life)", "unit.incarnation == past.retry_life"),
    Mutation(PAST, "remembered(unit, past).gave_up", "unit.gave_up"),
    Mutation(PAST, "last.past.boot == now.boot", "True"),
    Mutation(PAST, "last.boot == now.boot", "True"),
    Mutation(PAST, "due - timedelta(seconds=2)", "due"),
    Mutation(REMEDY, "if case.hold and is_new(case.hold, case.now):", "if False:"),
    Mutation(REMEDY, "if action.kind in (ActionKind.STOP, ActionKind.END) else None", ""),
    Mutation(PAST, "stopped_with=None", "stopped_with=past.stopped_with"),
    Mutation(REMEDY, "AFTER_FAILURE = timedelta(seconds=10)", "AFTER_FAILURE = timedelta(seconds=9)"),
    Mutation(REMEDY, "AFTER_DENIAL = timedelta(minutes=5)", "AFTER_DENIAL = timedelta(minutes=6)"),
    Mutation(REMEDY, "if due > case.now.monotonic:", "if due >= case.now.monotonic:"),
    Mutation(REMEDY, "attempts=past.attempts + 1", "attempts=past.attempts"),
    Mutation(REMEDY, "in (Phase.QUEUED, Phase.STOPPING)", "in (Phase.STOPPING,)"),
    Mutation(REMEDY, "in (Phase.QUEUED, Phase.STOPPING)", "in (Phase.QUEUED,)"),
    Mutation(JUDGE, "not in (*DOWN, Phase.QUEUED):", "not in DOWN:"),
    Mutation(JUDGE, "not in (*DOWN, Phase.QUEUED) and is_new", "not in DOWN and is_new"),
    Mutation(REMEDY, "if case.seen.acting:", "if False:"),
    Mutation(REMEDY, "not case.host.may_act", "False"),
    Mutation(REMEDY, "replace(past, quarantined=True)", "replace(past, quarantined=True, half_open=False)"),
    Mutation(REMEDY, "if case.spec.hidden is not HiddenPolicy.STOP:", "if False:"),
    Mutation(REMEDY, "case.spec.user or case.host.user", "case.spec.user"),
    Mutation(REMEDY, "owner is not None and one.user == owner", "True"),
    Mutation(REMEDY, "if unit.phase in DOWN else ()", ""),
    Mutation(REMEDY, "verdict.reason is Reason.HELD and unit.phase in DOWN", "verdict.reason is Reason.HELD"),
    Mutation(REMEDY, "timedelta() if endable(case, unit) else None", "timedelta()"),
    Mutation(REMEDY, "in (ActionKind.STOP, ActionKind.END) else None", "is ActionKind.STOP else None"),
    Mutation(HEART, "and not moved(last, figures)", ""),
    Mutation(HEART, "replace(case, past=past)\n    health", "case\n    health"),
    Mutation(HEART, "last if last and last.incarnation == unit.incarnation else NO_FIGURES)", "last or NO_FIGURES)"),
    Mutation(HEART, "if unit.pid is None:", "if False:"),
    Mutation(PAST, "RECENT = timedelta(hours=1)", "RECENT = timedelta(hours=2)"),
    Mutation(PAST, "now.monotonic - at < RECENT", "now.monotonic - at <= RECENT"),
    Mutation(PAST, "restarted=(*past.restarted, *died)", "restarted=past.restarted"),
    Mutation(PAST, "restarted=(*past.restarted, died)", "restarted=past.restarted"),
    Mutation(REMEDY, "restarted=(*past.restarted, case.now.monotonic)", "restarted=past.restarted"),
    Mutation(REMEDY, "if REMEDIES[reason] is ActionKind.RESTART:", "if True:"),
    Mutation(OUTDATED, "unit.started_monotonic < mark", "unit.started_monotonic <= mark"),
    Mutation(OUTDATED, "disk.at < unit.started_monotonic", "disk.at <= unit.started_monotonic"),
    Mutation(OUTDATED, "now.wall - (now.monotonic - unit.started_monotonic)", "unit.started_at or now.wall"),
    Mutation(OUTDATED, "disk.since <= started if", "disk.since < started if"),
    Mutation(OUTDATED, "mark <= unit.started_monotonic", "mark < unit.started_monotonic"),
    Mutation(OUTDATED, "disk.revision if known else None", "disk.revision"),
    Mutation(OUTDATED, "return replace(past, loaded=None) if past.loaded else past", "return past"),
    Mutation(OUTDATED, "loaded.revision and disk.revision and", "loaded.revision and"),
    Mutation(OUTDATED, "loaded.revision and disk.revision and", "disk.revision and"),
    Mutation(OUTDATED, "if what != SETTINGS)", ")"),
    Mutation(OUTDATED, "what in disk.files and", "what not in disk.files or"),
    Mutation(OUTDATED, "and changed <= moment", ""),
    Mutation(OUTDATED, "or loaded.incarnation != unit.incarnation", ""),
    Mutation(OUTDATED, "if unit and unit.pid else ()", "if unit else ()"),
    Mutation(HEART, "facts == KNOWN(last) and not moved", "not moved"),
    Mutation(HEART, "if case.quiet < limits.late_after else", "if case.quiet <= limits.late_after else"),
    Mutation(JUDGE, "silence(self, unit) if heartbeat_expected(self, unit) else None", "silence(self, unit)"),
    Mutation(HEALTH, "ENOUGH = 3", "ENOUGH = 4"),
    Mutation(HEALTH, "NOT_READY = 0.5", "NOT_READY = 0.4"),
    Mutation(
        HEALTH,
        "min(round(weights.get(name, USUAL[name]) * share), left)",
        "round(weights.get(name, USUAL[name]) * share)",
    ),
    Mutation(HEALTH, "min(recent / ENOUGH, 1.0)", "recent / ENOUGH"),
    Mutation(HEALTH, "if own in OWN and SHARES[own] > share:", "if False:"),
    Mutation(HEALTH, "if own in OWN and SHARES[own] > share:", "if own in OWN:"),
    Mutation(HEALTH, "max(_doubts(case), default", "min(_doubts(case), default"),
    Mutation(HEALTH, "min(case.seen.failed_probes, probe.failures)", "case.seen.failed_probes"),
    Mutation(HEALTH, "case.beat and case.beat.by_main else", "case.beat else"),
    Mutation(USAGE, "SHARE = 0.2", "SHARE = 0.25"),
    Mutation(USAGE, "NEAR = 0.8", "NEAR = 0.7"),
    Mutation(USAGE, ">= max(least, SHARE * before)", ">= SHARE * before"),
    Mutation(USAGE, "return before is not now", "return False"),
    Mutation(USAGE, "max(near)", "min(near)"),
    Mutation(PRESETS, "{**BUILT_IN, **self.own}", "{**self.own}"),
    Mutation(PRESETS, "*tags, choices.host)", "choices.host, *tags)"),
    Mutation(PRESETS, "if one and one in choices.presets", "if one"),
    Mutation(PRESETS, "in (*BUILT_IN, INHERITED):", "in BUILT_IN:"),
    Mutation(PRESETS, "isinstance(weight, bool) or", ""),
    Mutation(PRESETS, "name not in choices.own and len", "len"),
    Mutation(EVENTS, "row.incarnation, at, row.status,", "row.incarnation, row.status,"),
    Mutation(EVENTS, 'message.startswith(f"{who} ")', "who in message"),
    Mutation(EVENTS, ' or f"; since then {who} wants it to stay down" in message', ""),
    Mutation(EVENTS, "if last and last.reason is Reason.LOCKED:", "if False:"),
    Mutation(EVENTS, "return ITSELF", "return MANAGER"),
    Mutation(METER, "UNLIMITED = 1 << 62", "UNLIMITED = 1 << 63"),
    Mutation(METER, "LIMITS = timedelta(minutes=1)", "LIMITS = timedelta(minutes=2)"),
    Mutation(METER, "if before and before.life == life else None", "if before else None"),
    Mutation(METER, "if before and before.life == look.life else None", "if before else None"),
    Mutation(METER, "    except PermissionError:\n        if hidden:\n            raise\n", ""),
    Mutation(METER, "if not processes:\n        return counters", "pass"),
    Mutation(METER, "counters.memory is None)", "False)"),
    Mutation(METER, "before.summed is not now.summed or", ""),
    Mutation(METER, "if spent >= 0 else None", ""),
    Mutation(METER, "max(taken - idle, 0)", "taken"),
    Mutation(METER, 'field(stat, "total_inactive_file") or', ""),
    Mutation(METER, "fields[11:15]", "fields[11:13]"),
    Mutation(METER, 'partition(f"/{life.unit}/")', 'partition(f"/{life.unit}")'),
    Mutation(
        METER,
        'below(systemds_path(_text(f"{self._proc}/{life.pid}/cgroup")) or "", self._container)',
        'systemds_path(_text(f"{self._proc}/{life.pid}/cgroup")) or ""',
    ),
    Mutation(REVISION, 'or ".." in reference[1].split("/")', ""),
    Mutation(REVISION, "max(since, next_one[1])", "since"),
    Mutation(REVISION, "for place in (git, shared):", "for place in (git,):"),
    Mutation(REVISION, "for place in (git, shared):", "for place in (shared,):"),
    Mutation(REVISION, "if not stat.S_ISREG(seen.st_mode) or seen.st_size > most:", "if False:"),
    Mutation(REVISION, "known is None or known[0] != _stamp(seen)", "known is None"),
    Mutation(REVISION, "except OSError:  # what is hidden", "except ZeroDivisionError:  # what is hidden"),
    Mutation(REVISION, "reversed(spec.environment_files)", "spec.environment_files"),
    Mutation(REVISION, "raise NotADirectoryError(git)", "return None"),
    Mutation(REVISION, "(?:[0-9a-f]{24})?", ""),
    Mutation(CHOICES, "if old.get(of) != new.get(of)]", "]"),
    Mutation(CHOICES, "for of in {**old, **new}", "for of in new"),
    Mutation(CHOICES, "await reconciler.choose(after", "reconciler.choose(after"),
    Mutation(CHOICES, "if name != OF_HOST and key == USED:", "if key == USED:"),
    Mutation(WATCH, "PASSING = 0.05", "PASSING = 0.06"),
    Mutation(WATCH, "told in (Phase.RESTARTING, Phase.FAILED)", "told is Phase.RESTARTING"),
    Mutation(AGENDA, "SPREAD = 0.2", "SPREAD = 0.5"),
    Mutation(AGENDA, "if known is None or not known.same(turn):", "if True:"),
    Mutation(AGENDA, "(0.5 + self._share(turn))", "(0.5)"),
    Mutation(AGENDA, "self._queue[0][0] <= now", "self._queue[0][0] < now"),
    Mutation(AGENDA, "            self._put(current)\n", ""),
    Mutation(AGENDA, "        self._busy[turn.kind] -= 1\n", ""),
    Mutation(AGENDA, "if not current.same(turn):", "if False:"),
    Mutation(AGENDA, "max(now, (turn.asked_at or now) + self._pause(turn))", "now + self._pause(turn)"),
    Mutation(AGENDA, "now - self._hasted_at < HASTE", "now - self._hasted_at <= HASTE"),
    Mutation(AGENDA, "other.asked_at < since", "other.asked_at <= since"),
    Mutation(AGENDA, "and other.kind is not ProbeKind.COMMAND", ""),
    Mutation(AGENDA, "turn.at == at and name not in self.under_way", "turn.at == at"),
    Mutation(AGENDA, "turn is not None and turn.at == at", "turn is not None"),
    Mutation(
        AGENDA, "while crowd and self._busy[kind] < MOST[kind]:", "while crowd and self._busy[kind] <= MOST[kind]:"
    ),
    Mutation(AGENDA, "            if self._busy[kind] < MOST[kind]:\n", "            if True:\n"),
    Mutation(AGENDA, "turn.at <= now and turn.name not in self.under_way", "turn.at <= now"),
    Mutation(AGENDA, "and turn.at <= now and", "and"),
    Mutation(AGENDA, "FIRST_PAUSE * float(2 ** min(turn.asked - 1, 32))", "FIRST_PAUSE * float(2 ** turn.asked)"),
    Mutation(ASKING, "or state.phase is not Phase.ACTIVE", ""),
    Mutation(ASKING, "if spec.ready and not (row and row.past.ready == state.incarnation):", "if spec.ready:"),
    Mutation(ASKING, "_probes(before, name) != _probes(specs, name)", "False"),
    Mutation(ASKING, "or _came_too_late(turn, answer, now)", ""),
    Mutation(ASKING, "turn.question.probe.timeout + OVERDUE", "timedelta()"),
    Mutation(ASKING, "self._changed |= self._probed | asked_before", "self._changed |= self._probed"),
    Mutation(ASKING, "if concerned := self._probed & rows.keys():", "if concerned := set():"),
    Mutation(ASKING, "            self.agenda.hurry(turn, now)", "            pass"),
    Mutation(ASKING, "at is not None and (self._until is None or at < self._until)", "False"),
    Mutation(ASK, "probe.timeout if by_us else", "probe.timeout + OVERTIME if by_us else"),
    Mutation(ASK, 'clock(), "timeout")', "clock())"),
    Mutation(ASK, "limit=LONGEST_DETAIL), clock(), error", "limit=None), clock(), error"),
    Mutation(HTTP, "follow_redirects=False", "follow_redirects=True"),
    Mutation(HTTP, "trust_env=False", "trust_env=True"),
    Mutation(HTTP, "MOST_READ = 64 * 1024", "MOST_READ = 64 * 1024 * 1024 * 1024"),
    Mutation(HTTP, "if text in found[:MOST_READ]:", "if text in found:"),
    Mutation(HTTP, "200 <= response.status_code < 400", "200 <= response.status_code < 300"),
    Mutation(HTTP, '"host": url.netloc.decode("ascii")', '"host": "x"'),
    Mutation(HTTP, "extensions=named", "extensions={}"),
    Mutation(HTTP, "for address in found[:-1]:", "for address in ():"),
    Mutation(TCP, "for address in found[:-1]:", "for address in ():"),
    Mutation(TCP, "async with asyncio.timeout(share):", "async with asyncio.timeout(None):"),
    Mutation(TCP, 'host.strip("[]")', "host"),
    Mutation(REACHING, "found = await _in_a_thread(look_up, patience)", "found = await asyncio.to_thread(look_up)"),
    Mutation(REACHING, 'name="probe-name", daemon=True', 'name="probe-name"'),
    Mutation(REACHING, "        finally:\n            slots.release()", "        finally:\n            pass"),
    Mutation(REACHING, "    if ended.done():\n        return\n", ""),
    Mutation(REACHING, 'if host == "localhost":', "if False:"),
    Mutation(REACHING, "isinstance(one, ssl.SSLError)", "False"),
    Mutation(REACHING, "found = found.__cause__ or found.__context__", "found = None"),
    Mutation(WATCH, "told in (Phase.RESTARTING, Phase.FAILED)", "told is Phase.FAILED"),
    Mutation(WATCH, "if state.phase is Phase.QUEUED:", "if False:"),
    Mutation(WATCH, "if not fresh and self._known", "if False and self._known"),
    Mutation(WATCH, "0 < ended <= left", "True"),
    Mutation(WATCH, 'if properties["Restart"] != "always":', "if False:"),
    Mutation(WATCH, "told in (Phase.ACTIVE, Phase.STARTING)", "True"),
    Mutation(WATCH, '"UnitRemoved" if self._reloading', '"UnitRemoved" if False'),
    Mutation(WATCH, "if interface == UNIT:", "if True:"),
    Mutation(WATCH, "not state.gave_up and told", "told"),
    Mutation(WATCH, "not state.by_request and not", "not"),
    Mutation(WATCH, "elif unit not in self._asked:", "else:"),
    Mutation(WATCH, "{**properties, **changed}", "{**changed, **properties}"),
    Mutation(WATCH, "elif unit not in self._held_back:", "else:"),
    Mutation(
        WATCH,
        "if passing is state:\n            self._forget_held_back(unit)",
        "if passing is state:\n            pass",
    ),
    *replica.MUTATIONS,
    *schema.MUTATIONS,
)


def main(words: Sequence[str]) -> int:
    wanted = [one for one in MUTATIONS if not words or any(word in f"{one.file} {one.old}" for word in words)]
    with tempfile.TemporaryDirectory() as folder:
        copied = copy_to(Path(folder))
        for file in sorted({one.file for one in wanted}):
            if found := failing(copied, file):
                print(f"mutate: unbroken, {found} fails", file=sys.stderr)
                return 1
        survivors = [one for one in wanted if not noticed(copied, one)]
    print(f"{len(wanted) - len(survivors)} of {len(wanted)} were noticed")
    return 1 if survivors else 0


def copy_to(folder: Path) -> Path:
    for name in NEEDED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "ui", "e2e"))
        else:
            shutil.copy(source, folder)
    return folder


def noticed(copied: Path, mutation: Mutation) -> bool:
    file = copied / mutation.file
    text = file.read_text()
    count = text.count(mutation.old)
    if count != 1:
        found = f"NOT FOUND ONCE ({count})"
    else:
        file.write_text(text.replace(mutation.old, mutation.new))
        found = failing(copied, mutation.file) or "SURVIVED"
        file.write_text(text)
    change = f"{mutation.old} → {mutation.new}".replace("\n", "⏎")
    print(f"| {Path(mutation.file).parent.name}/{file.name} | `{re.sub(' +', ' ', change)}` | {found} |", flush=True)
    return "::" in found


def failing(copied: Path, file: str) -> str | None:
    """The first test that fails, if one does."""
    tests = TESTS.get(file, "tests/decide").split()
    command = [sys.executable, "-B", "-m", "pytest", "-x", "-n", "0", "--tb=no", "-rfE", *tests]
    done = subprocess.run(command, cwd=copied, capture_output=True, text=True)
    if done.returncode == 0:
        return None
    found = re.search(r"^(?:FAILED|ERROR) \S*/(\S+?::?[^\s\[]+)", done.stdout, re.MULTILINE)
    return found[1] if found else f"no test at all: {done.stdout[-300:]}{done.stderr[-300:]}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
