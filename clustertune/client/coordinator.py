"""A coordinator's REST API as typed calls. http.client keeps this import light: no other part is needed."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlencode

from clustertune.model.checkpoint import Part, read_manifest
from clustertune.model.codec import FieldError, from_plain, to_plain
from clustertune.model.errors import ClustertuneError, CoordinatorUnreachable, JournalFull, Mistake
from clustertune.model.messages import PROTOCOL
from clustertune.model.snapshot import BestTrial, ClusterSnapshot, ExperimentSnapshot, LogPage, Submission, TrialRow
from clustertune.model.version import VERSION

if TYPE_CHECKING:
    from clustertune.client.artifacts import Offer
    from clustertune.client.frames import Results

T = TypeVar("T")

TIMEOUT_S = 15.0
SENDING_TIMEOUT_S = 60.0
"""What was sent may still be under way, on a slow line, when an answer is waited for; 200,000 files take a while."""
DOWN_TIMEOUT_S = 180.0
"""Trials may save before they end, and a machine that does not answer is waited for."""

_WRITE_BYTES = 256 * 1024
PAGE_OF_TRIALS = 1000

Body = bytes | Callable[[], Iterable[bytes]]
"""Bytes, or what gives them anew for each try."""


class Unannounced(ClustertuneError):
    """The coordinator does not know (any more) what these parts are for: announce the snapshot, then send them."""


class Coordinator(AbstractContextManager["Coordinator"]):
    """One coordinator, over one connection that is kept open. Not for several threads at once.

    Every call raises CoordinatorUnreachable when nobody answers, Mistake when the coordinator says that the request
    cannot be met (unknown name, wrong state, faulty definition), and JournalFull when its disk takes no more.
    """

    def __init__(self, port: int, token: str, *, host: str = "127.0.0.1", timeout_s: float = TIMEOUT_S) -> None:
        self.port = port
        self._token, self._host = token, host
        self._connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
        self._used = self._broken_off = False

    def cluster(self) -> ClusterSnapshot:
        """Raises Mistake when the coordinator speaks another protocol than this client."""
        plain = self._get("/v1/cluster")
        _check_protocol(plain)
        return _read(ClusterSnapshot, plain)

    def submit(self, submission: Submission) -> str:
        """The new experiment's name: the definition's, with a number where that is taken."""
        return str(self._post("/v1/experiments", to_plain(submission))["name"])

    def experiment(self, name: str, after: int = 0) -> ExperimentSnapshot:
        """The experiment now, with the events whose id is greater than ``after`` (500 at most, oldest first)."""
        return _read(ExperimentSnapshot, self._get(f"/v1/experiments/{quote(name, safe='')}", after=after))

    def pause(self, name: str) -> ExperimentSnapshot:
        """Its running trials are ended and will run again when it is resumed."""
        return self._command(name, "pause", {})

    def resume(self, name: str, secrets: Mapping[str, str] | None = None) -> ExperimentSnapshot:
        return self._command(name, "resume", {"secrets": dict(secrets)} if secrets else {})

    def stop(self, name: str) -> ExperimentSnapshot:
        """Ends it for good."""
        return self._command(name, "stop", {})

    def trials(self, name: str, offset: int = 0, limit: int = PAGE_OF_TRIALS) -> tuple[TrialRow, ...]:
        """Trials by number, from the ``offset``-th on."""
        rows: tuple[TrialRow, ...] = _read(
            tuple[TrialRow, ...],
            self._get(f"/v1/experiments/{quote(name, safe='')}/trials", offset=offset, limit=limit),
        )
        return rows

    def all_trials(self, name: str) -> Iterator[TrialRow]:
        """Every trial by number, fetched a page at a time."""
        offset = 0
        while page := self.trials(name, offset):
            yield from page
            offset += len(page)

    def definition(self, name: str) -> dict[str, Any]:
        """What was submitted, with every default filled in, as plain JSON values."""
        plain: dict[str, Any] = self._get(f"/v1/experiments/{quote(name, safe='')}/definition")
        return plain

    def file(self, name: str, filename: str) -> str:
        """The text of ``results.json``, ``best.yaml``, ``trials.csv``, ``reports.csv`` or ``schedule.json``."""
        return self._exchange("GET", f"/v1/experiments/{quote(name, safe='')}/files/{filename}").decode("utf-8")

    def results(self, name: str) -> Results:
        """Summary, trials and reports as data frames; needs pandas."""
        from clustertune.client.frames import read_results

        return read_results(self, name)

    def log(self, name: str, trial: int, *, attempt: int | None = None, offset: int = 0, limit: int = 65536) -> LogPage:
        """A piece of an attempt's output (by default the last attempt's); a negative offset counts from the end."""
        path = f"/v1/experiments/{quote(name, safe='')}/trials/{trial}/log"
        return _read(LogPage, self._get(path, attempt=attempt, offset=offset, limit=limit))

    def best(self, name: str, trial: int | None = None) -> BestTrial:
        """The incumbent, or another trial, what ran and what it left. Raises Mistake where it reported nothing yet."""
        return _read(BestTrial, self._get(f"/v1/experiments/{quote(name, safe='')}/best", trial=trial))

    def checkpoint(self, name: str, digest: str) -> Offer:
        """What a checkpoint is made of, and where each part is."""
        from clustertune.client.artifacts import Offer, Source

        plain = self._get(f"/v1/experiments/{quote(name, safe='')}/checkpoints/{digest}")
        try:
            manifest = read_manifest(plain["manifest"].encode(), digest)
            return Offer(manifest, {part: _read(Source, where) for part, where in plain["parts"].items()})
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise CoordinatorUnreachable(f"the coordinator's answer cannot be read: {error}") from error

    def another(self) -> Coordinator:
        """A second connection, to send something large over."""
        return Coordinator(self.port, self._token, host=self._host, timeout_s=SENDING_TIMEOUT_S)

    def announce(self, manifest: bytes) -> dict[str, int]:
        """The sizes, by their digests, of the parts of a program's snapshot that are missing; none: it is whole."""
        answer = _parse(self._exchange("POST", "/v1/workdirs", manifest))
        found: dict[str, int] = _read(dict[str, int], answer.get("missing") if isinstance(answer, dict) else None)
        return found

    def send_part(self, part: Part, blocks: Callable[[], Iterable[bytes]]) -> None:
        """One part of a snapshot that was announced. Raises Unannounced, and what ``blocks`` raises."""
        self._exchange("PUT", f"/v1/workdirs/parts/{part.digest}", blocks, length=part.size_bytes)

    def send_parts(self, parts: Sequence[tuple[Part, Callable[[], Iterable[bytes]]]]) -> None:
        """Several, as one stream: each after a line that names it. Those that came whole stay if the rest does not."""
        if len(parts) == 1:
            self.send_part(*parts[0])
            return
        heads = [f"{part.digest} {part.size_bytes}\n".encode() for part, _ in parts]

        def body() -> Iterator[bytes]:
            gathered = bytearray()  # thousands of small writes would take longer than what they write
            for head, (_, blocks) in zip(heads, parts, strict=True):
                gathered += head
                for block in blocks():
                    gathered += block
                    if len(gathered) >= _WRITE_BYTES:
                        yield bytes(gathered)
                        gathered.clear()
            yield bytes(gathered)

        length = sum(map(len, heads)) + sum(part.size_bytes for part, _ in parts)
        self._exchange("POST", "/v1/workdirs/parts", body, length=length)

    def keep_workdir(self, snapshot: str) -> None:
        """The cluster's snapshot from here on: what machines are given that come up later."""
        self._exchange("PUT", "/v1/cluster/workdir", json.dumps({"snapshot": snapshot}).encode())

    def break_off(self) -> None:
        """From another thread: what is under way fails, and so does what is asked afterwards."""
        self._broken_off = True
        if (sock := self._connection.sock) is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def read(self, path: str) -> bytes:
        """The bytes at a path that the coordinator named."""
        return self._exchange("GET", path)

    def up(self) -> None:
        """Asks for the machines, before there is anything to run; ``cluster`` tells how they come."""
        self._post("/v1/cluster/up", {})

    def down(self) -> dict[str, str]:
        """Ends all machines; answers which could not be ended, and why. Takes as long as that does."""
        usual_s, self._connection.timeout = self._connection.timeout, DOWN_TIMEOUT_S
        try:
            unended = self._post("/v1/cluster/down", {})["unended"]
        finally:
            self._connection.timeout = usual_s
            self.close()
        return {str(name): str(why) for name, why in unended.items()}

    def shutdown(self, *, stop_agents: bool = True) -> None:
        """Asks the process to end. Its experiments go on when it is started again."""
        self._post("/v1/shutdown", {"stop_agents": stop_agents})

    def close(self) -> None:
        self._connection.close()
        self._used = False

    def __exit__(self, *failure: object) -> None:
        self.close()

    def _command(self, name: str, verb: str, body: Mapping[str, object]) -> ExperimentSnapshot:
        return _read(ExperimentSnapshot, self._post(f"/v1/experiments/{quote(name, safe='')}/{verb}", body))

    def _get(self, path: str, **query: int | None) -> Any:
        given = urlencode({key: value for key, value in query.items() if value is not None})
        return _parse(self._exchange("GET", f"{path}?{given}" if given else path))

    def _post(self, path: str, body: Mapping[str, object]) -> Any:
        # A kept connection may be dead without our knowing, and a repeated POST could submit twice: always a new one.
        self.close()
        return _parse(self._exchange("POST", path, json.dumps(body, allow_nan=False).encode()))

    def _exchange(self, method: str, path: str, body: Body | None = None, length: int | None = None) -> bytes:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        if length is not None:
            headers |= {"Content-Length": str(length), "Content-Type": "application/octet-stream"}
        if self._broken_off:
            raise CoordinatorUnreachable("this connection was broken off")
        try:
            self._connection.request(method, path, body() if callable(body) else body, headers)
            response = self._connection.getresponse()
            status, text = response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            stale = self._used and not isinstance(error, TimeoutError) and not self._broken_off
            self.close()
            if stale:
                return self._exchange(method, path, body, length)
            raise CoordinatorUnreachable(
                f"the coordinator at port {self.port} does not answer ({type(error).__name__}: {error})"
            ) from error
        except BaseException:
            self.close()  # half a request is under way
            raise
        self._used = True
        if status >= 400:
            raise _refusal(status, text)
        return text


def _check_protocol(plain: object) -> None:
    theirs = plain.get("protocol") if isinstance(plain, dict) else None
    if theirs == PROTOCOL or not isinstance(plain, dict):
        return
    pid = plain.get("pid")
    raise Mistake(
        f"the running coordinator is clustertune {plain.get('version')} (protocol {theirs}), "
        f"this is clustertune {VERSION} (protocol {PROTOCOL}); use that version, "
        f"or end the coordinator with `kill {pid}` (its experiments can be resumed) and try again"
    )


def _refusal(status: int, text: bytes) -> ClustertuneError:
    try:
        sentence = str(json.loads(text)["error"])
    except (ValueError, KeyError, TypeError):
        sentence = f"the coordinator answered with status {status}: {text[:200].decode('utf-8', 'replace')}"
    if status == http.client.PRECONDITION_FAILED:
        return Unannounced(sentence)
    if status == 503:
        return JournalFull(sentence)
    return Mistake(sentence) if status < 500 else ClustertuneError(sentence)


def _parse(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise CoordinatorUnreachable(f"what answers there is not a coordinator: {text[:80]!r}") from error


def _read(cls: type[T], plain: object) -> T:
    try:
        read: T = from_plain(cls, plain)
    except FieldError as error:
        raise CoordinatorUnreachable(f"the coordinator's answer cannot be read: {error}") from error
    return read
