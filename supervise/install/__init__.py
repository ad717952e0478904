"""From rendered files to a host that has them: `plan` says what would change, `apply` does it safely."""
