"""Where the key comes from, in which order, and that nothing ever shows it."""

from __future__ import annotations

import base64
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from supervise.errors import SuperviseError
from supervise.model import Scope, SupabaseTarget
from supervise.stores.supabase.keys import KEYS, Access, Where, access

URL = "https://x.supabase.co"
SECRET = "sb_secret_PlantedPlantedPlanted"


def jwt(**claims: Any) -> str:
    middle = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJIUzI1NiJ9.{middle}.c2lnbmVk"


def user(**environ: str) -> Where:
    return Where(Scope.USER, environ)


def kept(folder: Path, text: str, name: str = "key") -> Path:
    file = folder / name
    file.write_text(text)
    file.chmod(0o640)
    return file


def found(target: SupabaseTarget | None, where: Where) -> Access:
    made = access(target, where)
    assert made is not None
    return made


def test_where_nothing_is_configured_there_is_none() -> None:
    assert access(None, user()) is None
    assert access(None, user(SUPABASE_SECRET_KEY=SECRET)) is None


def test_a_folder_that_is_closed_to_us_says_nothing(tmp_path: Path) -> None:
    file = tmp_path / "a_file"
    file.touch()
    closed = tmp_path / ("long" * 100)  # here a Path raises, also for root
    assert access(None, Where(Scope.USER, {}, (closed, file))) is None


def test_a_key_with_curly_quotes_is_refused_before_it_is_sent(tmp_path: Path) -> None:
    for target, where in (
        (SupabaseTarget(URL, kept(tmp_path, "“sb_secret_x”")), user()),
        (None, user(SUPABASE_URL=URL, SUPABASE_KEY="“sb_secret_x”")),
    ):
        with pytest.raises(SuperviseError, match="curly quotes") as refused:
            access(target, where)
        assert "sb_secret" not in str(refused.value)


def test_the_file_of_the_manifest_comes_before_the_environment(tmp_path: Path) -> None:
    target = SupabaseTarget(URL, kept(tmp_path, f"{SECRET}\n"))
    made = found(target, user(SUPABASE_URL="https://other", SUPABASE_SECRET_KEY="other"))
    assert (made.url, made.key, made.token) == (URL, SECRET, SECRET)


def test_a_credential_comes_before_the_environment(tmp_path: Path) -> None:
    kept(tmp_path, SECRET, "SUPABASE_SECRET_KEY")
    where = user(CREDENTIALS_DIRECTORY=str(tmp_path), SUPABASE_KEY="other")
    assert found(SupabaseTarget(URL), where).key == SECRET


@pytest.mark.parametrize("more", ["/", "/rest/v1", "/rest/v1/"])
def test_the_address_of_the_api_means_its_project(more: str) -> None:
    assert found(SupabaseTarget(f"{URL}{more}"), user(SUPABASE_KEY=SECRET)).url == URL
    assert found(None, user(SUPABASE_URL=f"{URL}{more}", SUPABASE_KEY=SECRET)).url == URL


@pytest.mark.parametrize("index", range(len(KEYS)))
def test_in_the_environment_the_first_of_the_names_counts(index: int) -> None:
    environ = {name: f"value-of-{name}" for name in KEYS[index:]}
    assert found(SupabaseTarget(URL), user(**environ)).key == f"value-of-{KEYS[index]}"


def test_a_file_beside_the_project_speaks_for_it_in_user_scope_alone(tmp_path: Path) -> None:
    kept(tmp_path, f"A=1\nexport SUPABASE_URL='{URL}'\nSUPABASE_KEY=\"{SECRET}\"\n", ".env")
    where = replace(user(), folders=(tmp_path,))
    assert found(None, where) == Access(URL, SECRET, SECRET)
    assert access(None, replace(where, scope=Scope.SYSTEM, settings=tmp_path / "none")) is None


def test_in_system_scope_the_environment_counts_for_nothing(tmp_path: Path) -> None:
    where = Where(Scope.SYSTEM, {"SUPABASE_URL": URL, "SUPABASE_KEY": SECRET}, settings=tmp_path / "none")
    assert access(None, where) is None


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give itself a file")
def test_in_system_scope_a_file_of_roots_counts_if_it_is_closed(tmp_path: Path) -> None:
    file = kept(tmp_path, f"SUPABASE_URL={URL}\nSUPABASE_SECRET_KEY={SECRET}\n")
    where = Where(Scope.SYSTEM, {}, settings=file)
    assert found(None, where).key == SECRET
    for mode in (0o644, 0o660):
        file.chmod(mode)
        with pytest.raises(SuperviseError, match="closed to others"):
            access(None, where)


def test_a_key_of_a_host_goes_with_the_public_one() -> None:
    token = jwt(role="supervise_host", host="ares", exp=1800000000)
    target = SupabaseTarget(URL, publishable_key="sb_publishable_x")
    made = found(target, user(SUPABASE_HOST_KEY=token))
    assert (made.key, made.token) == ("sb_publishable_x", token)
    assert made.expires is not None
    assert made.expires.year == 2027
    assert found(target, user(SUPABASE_KEY=jwt(role="service_role"))).key != "sb_publishable_x"


@pytest.mark.parametrize("text", ["", "  \n", f"{SECRET} and\nmore", "a\x00b"])
def test_a_file_that_holds_no_key_is_named_and_not_quoted(tmp_path: Path, text: str) -> None:
    file = kept(tmp_path, text)
    with pytest.raises(SuperviseError) as error:
        access(SupabaseTarget(URL, file), user())
    assert str(file) in str(error.value)
    assert SECRET not in str(error.value)


def test_a_pipe_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "key")
    with pytest.raises(SuperviseError, match="not a file"):
        access(SupabaseTarget(URL, tmp_path / "key"), user())


def test_a_key_that_is_not_there_is_asked_for() -> None:
    with pytest.raises(SuperviseError, match="there is no key"):
        access(SupabaseTarget(URL), user())


def test_nothing_shows_a_key() -> None:
    token = jwt(role="supervise_host", host="ares", padding="x" * 90)
    made = Access(URL, SECRET, token)
    assert SECRET not in repr(made)
    assert token not in repr(made)
    hidden = made.hide(f"he sent {SECRET}, {token} and {token[:50]}")
    assert SECRET not in hidden
    assert token[:40] not in hidden
