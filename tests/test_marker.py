"""The first line of our files: whose they are, and whether somebody changed them since."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervise.marker import SHARED, Marker, digest, edited, marker, stamped, version_key

WORDS = st.text("abcdefghijklmnopqrstuvwxyz0123456789_.", min_size=1)


@given(body=st.text(), project=WORDS, agent=WORDS, run=WORDS, version=WORDS)
def test_what_is_stamped_is_read_back(body: str, project: str, agent: str, run: str, version: str) -> None:
    content = stamped(body, project=project, agent=agent, run=run, version=version)
    assert marker(content) == Marker(project, agent, digest([body]), run, version)
    assert content.partition("\n")[2] == body
    assert not edited(content)


def test_the_marker_line_is_a_comment_that_names_whose_file_it_is() -> None:
    body = "[Unit]\n"
    line = stamped(body, project="trading", agent="sma", run="0123456789ab").partition("\n")[0]
    assert line == f"# Managed by supervise: project=trading agent=sma file={digest([body])} run=0123456789ab"


def test_a_shared_file_belongs_to_no_project_and_carries_its_version() -> None:
    found = marker(stamped("[Slice]\n", version="1.2.3"))
    assert found == Marker(SHARED, SHARED, digest(["[Slice]\n"]), SHARED, "1.2.3")


@given(st.text(), st.text())
def test_an_edit_below_the_marker_shows(body: str, other: str) -> None:
    content = stamped(body, project="trading")
    assert edited(content.replace("\n", f"\n{other}", 1)) is bool(other)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[Unit]\n",
        "# written by hand\n",
        "\n# Managed by supervise: project=a agent=b file=c run=d\n",
        "# Managed by supervise: project=a agent=b run=d\n",
        "# Managed by supervise:\n",
        "project=a agent=b file=c run=d\n# Managed by supervise: project=a agent=b file=c run=d\n",
    ],
)
def test_a_file_without_a_whole_marker_in_its_first_line_is_not_ours(content: str) -> None:
    assert marker(content) is None
    assert not edited(content)


PARTS = st.lists(st.text("ab"), min_size=1)


@given(PARTS, PARTS)
def test_a_digest_changes_when_any_part_does(one: list[str], other: list[str]) -> None:
    assert (digest(one) == digest(other)) is (one == other)


def test_where_a_part_ends_counts() -> None:
    assert digest(["ab", "c"]) != digest(["a", "bc"])


@pytest.mark.parametrize(("older", "newer"), [("0.9.0", "0.10.0"), ("1.2", "1.2.1"), ("1.2.3", "2.0.0")])
def test_versions_are_compared_by_their_numbers(older: str, newer: str) -> None:
    assert version_key(older) < version_key(newer)
