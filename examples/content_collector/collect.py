"""Collects what is dropped into `inbox/` into `data/content.jsonl`, one JSON object a line.

What stands in that file is what has been collected, so that a restart takes nothing twice. The inbox is never changed.

Environment: INTERVAL (seconds between looks, 2).
Needs the agent library: pip install supervise-agent
"""

import json
import os
import time
from pathlib import Path

from supervise.agent import Agent

INBOX = Path("inbox")
COLLECTION = Path("data/content.jsonl")
INTERVAL = float(os.environ.get("INTERVAL", "2"))


def collected():
    """The names in the collection. A last line that a crash has cut off is cut away, and its file collected again."""
    if not COLLECTION.exists():
        return set()
    content = COLLECTION.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if whole != content:
        os.truncate(COLLECTION, len(whole))
    return {json.loads(line)["name"] for line in whole.splitlines()}


def collect(file):
    """Append one file to the collection."""
    text = file.read_text(encoding="utf-8", errors="replace")
    title = next((line.strip("# ") for line in text.splitlines() if line.strip("# ")), file.stem)
    entry = {"name": file.name, "title": title, "words": len(text.split()), "text": text}
    with COLLECTION.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(entry, ensure_ascii=False) + "\n")
    print(f"collected {file.name}: {title}, {entry['words']} words", flush=True)


def main():
    agent = Agent("content_collector")
    COLLECTION.parent.mkdir(exist_ok=True)
    known = collected()
    print(f"watching {INBOX.resolve()}, {len(known)} files collected before", flush=True)
    while True:
        for file in sorted(INBOX.iterdir()):
            if file.is_file() and not file.name.startswith(".") and file.name not in known:
                collect(file)
                known.add(file.name)
                agent.beat(f"collected {file.name}")
        agent.beat(metadata={"collected": len(known)})
        time.sleep(INTERVAL)


if __name__ == "__main__":
    main()
