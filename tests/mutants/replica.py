"""Mutations of what copies rows to Supabase: its code, without a database."""

from __future__ import annotations

from tests.mutants import Mutation

FLUSHER = "supervise/stores/supabase/flusher.py"
CLIENT = "supervise/stores/supabase/client.py"
KEYS = "supervise/stores/supabase/keys.py"
WIRE = "supervise/stores/supabase/wire.py"
REPLICATING = "supervise/reconcile/replicating.py"
STORE = "supervise/stores/sqlite.py"
FAULTS = "supervise/stores/supabase/faults.py"
FRONTS = "supervise/stores/supabase/fronts.py"
TESTS = {
    **dict.fromkeys((FLUSHER, WIRE, FRONTS), "tests/stores/supabase/test_flusher.py"),
    **dict.fromkeys((CLIENT, FAULTS), "tests/stores/supabase/test_client.py"),
    KEYS: "tests/stores/supabase/test_keys.py",
    REPLICATING: "tests/reconcile/test_replicating.py",
    STORE: "tests/stores",
}
MUTATIONS = (
    Mutation(
        FLUSHER,
        "        said = calls.call(function, host",
        "        self._ask(lambda s: s.acknowledge([i.id for i in items]))\n        said = calls.call(function, host",
    ),
    Mutation(FLUSHER, "            self.close()  # whoever", "            pass  # whoever"),
    Mutation(FLUSHER, "wish=fault.retry_after)", "wish=None)"),
    Mutation(FLUSHER, "if report.shared:", "if False:"),
    Mutation(FLUSHER, "        self._marks = _mark(), marks[0]\n", "        self._marks = (_mark(),)\n"),
    Mutation(FLUSHER, "marks = list(self._marks)", "marks = [_mark(), *self._marks[1:]]"),
    Mutation(
        FLUSHER, "corrected = self._ask(lambda store: store.resend(names)) if names else 0", "corrected = len(names)"
    ),
    Mutation(
        FLUSHER,
        "            self._epoch = None\n            return self._may_hurry()",
        "            return self._may_hurry()",
    ),
    Mutation(FLUSHER, "if lock != before.get(name):", "if True:"),
    Mutation(FLUSHER, "if len(items) > 1:", "if False:"),
    Mutation(FLUSHER, "        if report.unknown_session:", "        if False:"),
    Mutation(FLUSHER, "self.state = replace(self.state, superseded=True)", "pass"),
    Mutation(
        FLUSHER,
        "        if clock - self._other[1] < SILENT:\n            return False",
        "        if True:\n            return False",
    ),
    Mutation(FLUSHER, "        if clock - self._other[1] < SILENT:\n            return False", "        pass"),
    Mutation(FLUSHER, "self._batch = max(SMALLEST_BATCH, self._batch // 2)", "pass"),
    Mutation(
        FLUSHER,
        "if self._epoch is None or self._ask(lambda store: store.instance) != self._instance:",
        "if self._epoch is None:",
    ),
    Mutation(FLUSHER, "if self._clock() >= self._retain_at:", "if False:"),
    Mutation(FLUSHER, "        self._retain_at = self._clock() + RETRY\n", ""),
    Mutation(FLUSHER, "            self._retain_at = self._clock() + EVERYTHING\n", ""),
    Mutation(FLUSHER, "        else:\n            self._works(what)", "        else:\n            pass"),
    Mutation(FLUSHER, "            self._works(ABOUT_HOST)", "            pass"),
    Mutation(FLUSHER, "return self._corrected - before >= TICK", "return True"),
    Mutation(FLUSHER, "if self._failures and self._settle(", "if False and self._settle("),
    Mutation(STORE, "            self._send(ItemKind.ROW, name, stamp(now().wall))", "            pass"),
    Mutation(STORE, '            self._set_meta("replicate", "1" if wanted else "0")', "            pass"),
    Mutation(FLUSHER, "Kind.REFUSED else LONGEST", "Kind.AWAY else LONGEST"),
    Mutation(FLUSHER, "self._pruned = clock - PRUNE + RETRY\n", "pass\n"),
    Mutation(FLUSHER, "self._pruned = -math.inf if more else clock", "self._pruned = clock"),
    Mutation(FLUSHER, "clock - self._pruned < PRUNE", "clock - self._pruned > PRUNE"),
    Mutation(FLUSHER, "title=one.title or row.title", "title=row.title"),
    Mutation(FLUSHER, 'front.recall(before, _noted(notes.get(NOTE.format(front.name), "")))', "pass"),
    Mutation(FLUSHER, "self._ask(lambda store: store.commit(Change(notes=notes), now=now().wall))", "pass"),
    Mutation(FLUSHER, "            front.keep(names)", "            pass"),
    Mutation(FLUSHER, "                self._look_for_lost(calls)\n", ""),
    Mutation(FRONTS, "self._unended = None if work else self._unended", "self._unended = None"),
    Mutation(FRONTS, "        if not (self._lost or self.removed):\n            self._unended = None\n", ""),
    Mutation(FRONTS, "if clock() < self._again:", "if False:"),
    Mutation(FRONTS, "self._owed.update(dict.fromkeys(self._rows))", "pass"),
    Mutation(FRONTS, "        if number and clock() >= end:", "        if False:"),
    Mutation(FRONTS, "            elif (refused := refused + 1) == SEVERAL:", "            elif False:"),
    Mutation(FRONTS, "(fault is None or fault.kind is Kind.UNFIT)", "fault is None"),
    Mutation(FRONTS, 'len(quote(f\'"{key}",\', safe=""))', "len(key)"),
    Mutation(FRONTS, "                self._remove(before)", "                pass"),
    Mutation(FRONTS, "self._ended.update(keys if reason in LOST else ())", "pass"),
    Mutation(WIRE, 'min(moment(said["until"]), now + LONGEST_LOCK)', 'moment(said["until"])'),
    Mutation(WIRE, "**dict.fromkeys(LOCK), ", ""),
    Mutation(KEYS, '            text = text.replace(form, "•••")', "            pass"),
    Mutation(KEYS, "    if where.scope is Scope.SYSTEM:\n        return pairs", "    if False:\n        return pairs"),
    Mutation(KEYS, "field(repr=False)\n    token", "field()\n    token"),
    Mutation(CLIENT, "        if time.monotonic() > deadline:", "        if False:"),
    Mutation(CLIENT, "        if size > LARGEST:", "        if False:"),
    Mutation(
        CLIENT, "if not minimal and (not isinstance(data, list | dict) or not self._http.last.content):", "if False:"
    ),
    Mutation(CLIENT, "is_ours = len(code) > 3", "is_ours = not code.isdigit()"),
    Mutation(CLIENT, "said = self._access.hide(words)", "said = words"),
    Mutation(CLIENT, "postgrest_client_retry=False", "postgrest_client_retry=True"),
    Mutation(FAULTS, "or _by_status(status)", "or Kind.REFUSED"),
    Mutation(
        REPLICATING,
        "if not any(one.project == spec.project and",
        "if False and not any(one.project == spec.project and",
    ),
    Mutation(REPLICATING, "            keep=of._daemon.retention,\n", ""),
    Mutation(REPLICATING, "elif row.lock and row.lock.by == by:", "elif row.lock:"),
    Mutation(
        REPLICATING, "        self._daemon.writer.commit(Change(notes={NOTE: json.dumps(self._locks)}))", "        pass"
    ),
    Mutation(REPLICATING, "self._daemon.writer.replicate(wanted is not None)", "pass"),
    Mutation(REPLICATING, "        if self._last_words:\n            self.flusher.tick()", "        pass"),
    Mutation(REPLICATING, 'return f"{facts.user}@{facts.name}" if facts.user else facts.name', "return facts.name"),
    Mutation(REPLICATING, "self._thread.join(patience)", "self._thread.join()"),
)
