"""One test per key of `agents.yaml`: its effect in the running process or in the running systemd."""
