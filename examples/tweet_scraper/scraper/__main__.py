"""Scrapes a timeline page by page and remembers how far it came, so that a restart repeats nothing.

The timeline is a sample that lies beside this file, served in pages with a cursor as a real one is.

Environment: SCRAPER_STATE (folder of the state, `state` in the working directory), INTERVAL (seconds between looks, 5).
Needs the agent library: pip install supervise-agent
"""

import argparse
import json
import os
import re
import time
from pathlib import Path

from supervise.agent import Agent

SAMPLE = Path(__file__).with_name("timeline.json")
STATE = Path(os.environ.get("SCRAPER_STATE", "state"))
INTERVAL = float(os.environ.get("INTERVAL", "5"))
PAGE = 5


def page(source, cursor):
    """The posts after `cursor` (an id, 0 for the beginning), and the cursor of the next page."""
    timeline = json.loads(SAMPLE.read_text(encoding="utf-8"))[source]
    posts = [post for post in timeline if post["id"] > cursor][:PAGE]
    return posts, posts[-1]["id"] if posts else cursor


def remembered(file):
    try:
        return json.loads(file.read_text(encoding="utf-8"))["cursor"]
    except FileNotFoundError:
        return 0


def remember(file, cursor):
    """Replace the file in one step: a crash leaves the old state or the new one, never half of it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(".new")
    draft.write_text(json.dumps({"cursor": cursor}) + "\n", encoding="utf-8")
    draft.replace(file)


def scrape(source, file, agent):
    """Read on to the end of the timeline; give the number of posts found."""
    cursor, found = remembered(file), 0
    while True:
        agent.beat(f"reading {source} from {cursor} on")
        posts, cursor = page(source, cursor)
        if not posts:
            return found
        for post in posts:
            print(f"@{post['author']}: {post['text']}", flush=True)
        remember(file, cursor)
        found += len(posts)


def main():
    parser = argparse.ArgumentParser(prog="scraper", description="Scrape one timeline.")
    sources = sorted(json.loads(SAMPLE.read_text(encoding="utf-8")))
    parser.add_argument("--source", required=True, choices=sources)
    source = parser.parse_args().source
    agent = Agent("tweet_scraper")
    file = STATE / (re.sub(r"\W+", "_", source) + ".json")
    print(f"scraping {source!r}", flush=True)
    while True:
        print(f"{scrape(source, file, agent)} new posts", flush=True)
        time.sleep(INTERVAL)


if __name__ == "__main__":
    main()
