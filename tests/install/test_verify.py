"""What systemd says of our units counts; what it says of others that they meet does not."""

from __future__ import annotations

from supervise.install.verify import faults

OURS = frozenset({"agent@.service", "agent@sma.service", "supervise.target"})
MISSPELT = "agent@sma.service.d/50-supervise.conf:2: Unknown key 'Tyep' in section [Service], ignoring."
REFUSED = "agent@sma.service: Service has no ExecStart=, ExecStop=, or SuccessAction=. Refusing."
IN_THE_TEMPLATE = "agent@.service:7: Unknown key 'Exec' in section [Service], ignoring."
AN_OPERATORS = "/etc/systemd/system/agent@sma.service.d/override.conf:1: Assignment outside of section. Ignoring."
FOREIGN = (
    "agent@weighed.service: Service has no ExecStart=, ExecStop=, or SuccessAction=. Refusing.",
    "agent@weighed.service: Cannot add dependency job, ignoring: Unit agent@weighed.service has a bad unit file.",
    "/etc/systemd/system/agent@weighed.service.d/50-supervise.conf:2: Unknown key 'Tyep', ignoring.",
    "/lib/systemd/system/plymouth-start.service:15: Unit configured to use KillMode=none.",
)
ABOUT_NOTHING = "Failed to set up the manager: Permission denied"


def told(*lines: str, failed: bool = True) -> tuple[str, ...]:
    return faults("\n".join(lines), OURS, failed=failed)


def test_a_fault_of_a_unit_of_ours_counts_wherever_it_stands() -> None:
    for line in (MISSPELT, REFUSED, IN_THE_TEMPLATE, AN_OPERATORS):
        assert told(*FOREIGN, line) == (line,)


def test_a_fault_counts_even_where_systemd_would_go_on() -> None:
    assert told(MISSPELT, failed=False) == (MISSPELT,)


def test_broken_units_of_another_project_are_not_our_matter() -> None:
    assert told(*FOREIGN) == ()


def test_a_failure_that_is_about_no_unit_counts() -> None:
    assert told(*FOREIGN, ABOUT_NOTHING) == (ABOUT_NOTHING,)
    assert told(*FOREIGN, ABOUT_NOTHING, failed=False) == ()


def test_what_systemd_only_remarks_does_not_count() -> None:
    assert told("agent@sma.service:4: Special user nobody configured, this is not safe!") == ()
