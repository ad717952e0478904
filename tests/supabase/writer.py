"""Writes to a Supabase all that this version writes. The next version's tests run it with this version's wheel, against
their own tables: so whoever migrates first need not update every host at the same moment.

    python -m tests.supabase.writer URL KEY HOST
"""

from __future__ import annotations

import json
import sys
import urllib.request
from typing import Any

from supervise.stores.rows import event_values, host_values, row_values, sample_values
from tests.stores import nouns


def main(url: str, key: str, host: str) -> None:
    def rpc(function: str, **given: Any) -> Any:
        headers = {"apikey": key, "Content-Type": "application/json"}
        body = json.dumps({"host": host, **given}).encode()
        asked = urllib.request.Request(f"{url}/rest/v1/rpc/{function}", body, headers)
        with urllib.request.urlopen(asked, timeout=20) as answer:
            return json.loads(answer.read())

    epoch = rpc("open_session", instance="writer")["epoch"]
    host_row = host_values(nouns.host_status("fine"))
    for seq in range(1, 4):
        rows = [{**row_values(nouns.row(name, health=seq)), "seq": seq} for name in ("sma", "ema")]
        answer = rpc("report_status", epoch=epoch, rows=rows, host_row={**host_row, "seq": seq})
        assert [(one["name"], one["applied"], one["row"]) for one in answer["rows"]] == [
            ("ema", True, None),
            ("sma", True, None),
        ], answer
    assert rpc("append_events", rows=[event_values(nouns.event(one)) for one in ("1", "2", "1")]) == {"taken": 2}
    assert rpc("append_samples", rows=[sample_values(nouns.sample(minutes=one)) for one in (0, 5)]) == {"taken": 2}
    rpc("request_command", name="sma", kind="restart")
    (claimed,) = rpc("claim_commands", most=5)
    assert rpc("finish_command", id=claimed["id"], ok=True, detail="done") == {"finished": True}


if __name__ == "__main__":
    main(*sys.argv[1:])
