"""One connection to one Supabase, for one thread: calls with short limits that raise nothing but `Fault`.

HTTP/1.1: over HTTP/2 the client was seen to lose requests when a server closes a connection. Whatever answers is read
up to a size and a time; it may be anybody.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from supervise.stores.supabase.faults import Fault, Kind, no_supabase, of_answer, of_transport
from supervise.stores.supabase.keys import Access

if TYPE_CHECKING:
    import httpx

CONNECT, READ = 2.0, 5.0
"""Seconds to wait for a connection, and for each part of an answer …"""
WHOLE = 15.0
"""… and for all of it."""
LARGEST = 16 * 1024 * 1024
PAGE, MOST = 1000, 100_000
"""Rows of one answer (Supabase gives no more, as it comes), and of all."""
BESIDE = "a host's own key needs publishable_key beside it (supabase: in agents.yaml, or SUPABASE_PUBLISHABLE_KEY)"
LIBRARY = "pip install 'supervise-agents[supabase]'"


class Client:
    """Lives until `close`. Made by the thread that uses it: to import what it needs takes a quarter of a second."""

    def __init__(self, access: Access, *, connect: float = CONNECT, read: float = READ, whole: float = WHOLE) -> None:
        self._access = access
        self._http = _http(connect, read, whole)
        try:
            self._client = _client(access, self._http)
        except Fault:
            self._http.close()
            raise
        self._host = self._client.rest_url.host or "nowhere"

    def close(self) -> None:
        self._http.close()

    def call(self, function: str, **arguments: Any) -> Any:
        """What a function of the schema answers. Raises Fault."""
        return self._done(self._client.rpc(function, arguments).execute)

    def find(self, table: str, columns: str, **equal: str) -> list[Any]:
        """Rows with these values, as many as there are. `columns` tell them apart. Raises Fault."""
        found: list[Any] = []
        for start in range(0, MOST, PAGE):
            query = self._client.table(table).select(columns)
            for column, value in equal.items():
                query = query.eq(column, value)
            for column in columns.split(","):
                query = query.order(column)
            page = self._done(query.range(start, start + PAGE - 1).execute)
            if not isinstance(page, list):
                raise no_supabase(self._http.kind)
            found += page
            if len(page) < PAGE:
                break
        return found

    def upsert(self, table: str, rows: Sequence[Mapping[str, Any]], *, key: str) -> None:
        """Raises Fault."""
        query = self._table(table).upsert([dict(row) for row in rows], on_conflict=key, returning="minimal")
        self._done(query.execute, minimal=True)

    def amend(self, table: str, values: Mapping[str, Any], *, key: str, among: Sequence[Any]) -> None:
        """These values for those rows whose `key` is one of these; there may be none. Raises Fault."""
        query = self._table(table).update(dict(values), returning="minimal").in_(key, among)
        self._done(query.execute, minimal=True)

    def _table(self, table: str) -> Any:
        """`schema.name` where it is not in the public one."""
        schema, _, name = table.rpartition(".")
        return (self._client.schema(schema) if schema else self._client).table(name)

    def _done(self, execute: Any, *, minimal: bool = False) -> Any:
        import httpx
        import postgrest

        self._http.last = None
        try:
            data = execute().data
        except postgrest.APIError as error:
            raise self._fault(error) from None  # its text, and that of what caused it, may repeat what was sent
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            said = self._access.hide(str(error))
            raise of_transport(type(error).__name__, said, host=self._host) from None
        except (ValueError, TypeError, RecursionError):
            raise no_supabase(self._http.kind) from None
        if not minimal and (not isinstance(data, list | dict) or not self._http.last.content):
            raise no_supabase(self._http.kind)
        return data

    def _fault(self, error: Any) -> Fault:
        last = self._http.last
        status = last.status_code if last else 0
        if status and 200 <= status < 300:
            return no_supabase(self._http.kind)
        code, said = str(error.code or ""), str(error.message or "")
        is_ours = len(code) > 3  # else it is the status, put there by the library: the body was no error of PostgREST's
        wish = last.headers.get("retry-after", "") if last else ""
        details = f": {error.details}" if is_ours and isinstance(error.details, str) else ""
        words = said + details if is_ours or self._http.kind.startswith("application/json") else ""
        if status == 401 and not is_ours and self._access.lacks_publishable:
            words = f"{words or status}; {BESIDE}"
        said = self._access.hide(words)  # before it is cut: half a key is no key any more, and still half a secret
        return of_answer(status, self._access.hide(code)[:16] if is_ours else "", said, retry_after=_seconds(wish))


def _http(connect: float, read: float, whole: float) -> Any:
    """An HTTP client that remembers its last answer, for what the library above it forgets: status and headers."""
    import httpx

    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)  # below that they log a line for each call

    class Http(httpx.Client):
        last: httpx.Response | None = None

        @property
        def kind(self) -> str:
            return str(self.last.headers.get("content-type", "")).partition(";")[0] if self.last else ""

        def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
            deadline = time.monotonic() + whole
            answer = super().send(request, **{**options, "stream": True})
            try:
                body = b"".join(_limited(answer, deadline))
            finally:
                answer.close()
            headers = [(key, value) for key, value in answer.headers.raw if key.lower() not in PACKING]
            self.last = httpx.Response(answer.status_code, headers=headers, content=body, request=request)
            return self.last

    limits = httpx.Limits(max_connections=4, keepalive_expiry=4)
    trusted = httpx.create_ssl_context()
    trusted.load_default_certs()  # also whom this machine trusts: a company's own authority
    return Http(http2=False, timeout=httpx.Timeout(read, connect=connect), limits=limits, verify=trusted)


def _seconds(text: str) -> timedelta | None:
    """A date, the other form, no gateway of Supabase's sends."""
    return timedelta(seconds=int(text)) if text.isascii() and text.isdigit() and len(text) < 7 else None


PACKING = (b"content-encoding", b"content-length", b"transfer-encoding")


def _limited(answer: httpx.Response, deadline: float) -> Iterator[bytes]:
    import httpx

    size = 0
    for part in answer.iter_bytes():
        size += len(part)
        if size > LARGEST:
            raise httpx.ReadError(f"the answer is larger than {LARGEST >> 20} MiB")
        if time.monotonic() > deadline:
            raise httpx.ReadTimeout("the answer does not end")
        yield part


def _client(access: Access, http: Any) -> Any:
    try:
        from supabase import create_client
        from supabase.lib.client_options import SyncClientOptions
    except ImportError as error:
        raise Fault(Kind.REFUSED, f"its library is not installed: {LIBRARY}") from error

    options = SyncClientOptions(
        httpx_client=http,
        postgrest_client_retry=False,
        auto_refresh_token=False,
        persist_session=False,
        headers={"Authorization": f"Bearer {access.token}"},
    )
    try:
        return create_client(access.url, access.key, options=options)
    except Exception as error:  # of a library that checks what it is given in its own ways
        raise Fault(Kind.REFUSED, f"its client cannot be made: {access.hide(str(error))}") from None
