"""systemd, system and user scope: `units` and `states` are pure, `bus` talks, `platform` joins them."""
