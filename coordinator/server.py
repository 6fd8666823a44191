"""The REST API: what clients may ask of a coordinator. Loopback only, token, Host and Origin checked."""

from __future__ import annotations

import asyncio
import hmac
import json
import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from clustertune.coordinator.answers import Answers
from clustertune.coordinator.coordinator import Coordinator
from clustertune.coordinator.core import events as e
from clustertune.coordinator.core.state import Experiment
from clustertune.coordinator.files_routes import answering, reading
from clustertune.coordinator.files_streams import Streams
from clustertune.coordinator.refusal import Refusal
from clustertune.coordinator.workdir_routes import LARGE_BODIES, not_whole, workdir_routes
from clustertune.coordinator.workdirs import folder_in
from clustertune.definition import AUTO, ExperimentDefinition, Registry, check_experiment, with_algorithms_chosen
from clustertune.model.codec import FieldError, from_plain, to_plain
from clustertune.model.errors import (
    DefinitionMistake,
    JournalError,
    JournalFull,
    Mistake,
    NoSuchName,
    StorageError,
    StorageRefused,
)
from clustertune.model.messages import PROTOCOL
from clustertune.model.snapshot import LogPage, Submission
from clustertune.model.trial import ExperimentState, attempt_id
from clustertune.model.version import VERSION

MAX_BODY_BYTES = 16 * 1024 * 1024
MAX_ROWS = 10_000
MAX_LOG_BYTES = 1024 * 1024
_CHECK_S = 10.0
_FILES = ("results.json", "best.yaml", "trials.csv", "reports.csv", "schedule.json")
_LOCAL_NAMES = ("127.0.0.1", "localhost")


def create_app(
    coordinator: Coordinator, *, registry: Registry, token: str, shutdown: Callable[[bool], None]
) -> FastAPI:
    """The application. ``shutdown(stop_agents)`` is called when a client asks the coordinator to end."""
    app = FastAPI(title="clustertune coordinator", version=VERSION)
    _guard(app, token)
    _explain(app)
    answers = Answers(coordinator)
    _experiments(app, coordinator, answers, registry)
    _reading(app, coordinator, answers)
    _cluster(app, answers, shutdown)
    # Whatever is not answered here: what streams (programs, the checkpoints of the best trials), and what is nowhere.
    streams = Streams()
    app.mount("/", answering([*reading(coordinator.depot, streams), *workdir_routes(coordinator.workdirs, streams)]))
    return app


def _cluster(app: FastAPI, answers: Answers, shutdown: Callable[[bool], None]) -> None:
    @app.get("/v1/cluster")
    async def cluster() -> Response:
        """The coordinator, its experiments and its machines."""
        found = answers.cluster_snapshot(version=VERSION, protocol=PROTOCOL, pid=os.getpid())
        return JSONResponse(to_plain(found))

    @app.post("/v1/cluster/up")
    async def up() -> Response:
        """Brings the machines up, before there is anything to run; idle ones stay for `idle_timeout`."""
        await answers.up()
        return JSONResponse({})

    @app.post("/v1/cluster/down")
    async def down() -> Response:
        """Ends all machines; answers those that could not be ended, and why."""
        return JSONResponse({"unended": await answers.down()})

    @app.post("/v1/shutdown")
    async def end(request: Request) -> Response:
        """Ends the coordinator; running experiments go on when it is started again.

        Agents that run something stay and go on, unless ``stop_agents`` is true.
        """
        shutdown((await _body(request)).get("stop_agents") is True)
        return JSONResponse({}, status_code=202)


def _experiments(app: FastAPI, coordinator: Coordinator, answers: Answers, registry: Registry) -> None:
    @app.post("/v1/experiments")
    async def submit(request: Request) -> Response:
        """Begins an experiment; answers the name that it got."""
        _check_journal(coordinator)
        try:
            submission: Submission = from_plain(Submission, await _body(request))
        except FieldError as error:
            raise Refusal(422, f"this is no submission: {error}") from error
        plain = {"searcher": AUTO, "scheduler": AUTO, **submission.definition}
        definition = with_algorithms_chosen(ExperimentDefinition.from_plain(plain), registry)
        if problems := check_experiment(definition, registry=registry):
            raise DefinitionMistake(problems)
        wanted = [*definition.secrets, *coordinator.cluster.secrets]
        missing = [name for name in wanted if name not in submission.secrets]
        if missing:
            raise Refusal(422, f"no value was given for the secrets {', '.join(missing)}")
        await _check_storage(coordinator, definition)
        await _check_snapshot(coordinator, submission)
        name = await answers.submit(replace(submission, definition=definition.to_plain()), definition.name)
        return JSONResponse({"name": name}, status_code=201)

    @app.get("/v1/experiments/{name}")
    async def show(name: str, after: int = 0) -> Response:
        """The experiment as it is now, with the events newer than ``after``."""
        return JSONResponse(to_plain(await answers.snapshot(name, after)))

    @app.post("/v1/experiments/{name}/{action}")
    async def act(name: str, action: str, request: Request) -> Response:
        """Pauses, resumes or stops the experiment."""
        _check_journal(coordinator)
        secrets = _secrets(await _body(request))
        event = _asked(answers.experiment(name), action, secrets)
        await answers.ask(event, secrets)
        return JSONResponse(to_plain(await answers.snapshot(name)))


async def _check_storage(coordinator: Coordinator, definition: ExperimentDefinition) -> None:
    """In less time than a client waits for an answer: what it was told has failed must not run all the same."""
    try:
        async with asyncio.timeout(_CHECK_S):
            await coordinator.depot.check(definition)
    except TimeoutError:
        raise Refusal(422, f"the storage did not answer within {_CHECK_S:g} s; nothing was started") from None
    except StorageRefused as error:
        remedy = f"end it with `kill {os.getpid()}` after a change there, its experiments can be resumed"
        told = f"{error} (the coordinator has the environment of the command that started it: {remedy})"
        raise Refusal(422, told) from error
    except StorageError as error:
        raise Refusal(422, f"{error}; nothing was started") from error


async def _check_snapshot(coordinator: Coordinator, submission: Submission) -> None:
    digest, workdirs = submission.snapshot, coordinator.workdirs
    if not digest:
        if coordinator.cluster.elsewhere:
            raise Refusal(
                422, "machines elsewhere have to be sent the program: POST /v1/workdirs, and name the snapshot"
            )
        return
    try:
        manifest = await asyncio.to_thread(workdirs.manifest, digest)
    except (NoSuchName, StorageError) as error:
        raise Refusal(409, not_whole(digest)) from error
    if not workdirs.is_whole(digest):  # it may go at any moment, but not between here and the experiment's beginning
        raise Refusal(409, not_whole(digest))
    if not folder_in(manifest, submission.workdir):
        raise Refusal(422, f"the snapshot {digest[:12]} has no folder {submission.workdir[:200]!r}, its workdir")
    workdirs.used(digest)


def _reading(app: FastAPI, coordinator: Coordinator, answers: Answers) -> None:
    @app.get("/v1/experiments/{name}/definition")
    async def definition(name: str) -> Response:
        """What was submitted, with every default filled in. Secrets are there by name alone."""
        return JSONResponse(answers.experiment(name).definition.to_plain())

    @app.get("/v1/experiments/{name}/trials")
    async def trials(name: str, offset: int = 0, limit: int = 1000) -> Response:
        """Trials by number, a page of them."""
        answers.experiment(name)
        await coordinator.committed()
        return JSONResponse(to_plain(answers.rows(name, max(0, offset), max(0, min(limit, MAX_ROWS)))))

    @app.get("/v1/experiments/{name}/files/{file}")
    async def files(name: str, file: str) -> Response:
        """One of the result files, as it stands."""
        answers.experiment(name)
        if file not in _FILES:
            raise Refusal(404, f"there is no file {file!r}; there are {', '.join(_FILES)}")
        await coordinator.results.settle(name)
        path = coordinator.places.experiment(name) / file
        if not path.exists():
            raise Refusal(404, f"{name} has no {file} yet: nothing was reported")
        return PlainTextResponse(path.read_text())

    @app.get("/v1/experiments/{name}/best")
    async def best(name: str, trial: int | None = None) -> Response:
        """The incumbent, or another trial: its configuration, what ran, and what it left behind."""
        await coordinator.committed()
        return JSONResponse(to_plain(answers.best(name, trial)))

    @app.get("/v1/experiments/{name}/trials/{trial}/log")
    async def log(name: str, trial: int, attempt: int = 0, offset: int = 0, limit: int = 65536) -> Response:
        """A page of an attempt's output; the last attempt's, unless told."""
        page = await _log(
            coordinator, answers.experiment(name), trial, attempt, offset, max(1, min(limit, MAX_LOG_BYTES))
        )
        return JSONResponse(to_plain(page))


async def _log(c: Coordinator, experiment: Experiment, number: int, attempt: int, offset: int, limit: int) -> LogPage:
    name = experiment.name
    if not 0 <= number < len(experiment.trials):
        raise Refusal(404, f"{name} has no trial {number}; it has {len(experiment.trials)} trials, from 0 on")
    trial = experiment.trials[number]
    chosen = attempt or trial.attempts
    if not 1 <= chosen <= trial.attempts:
        raise Refusal(404, f"trial {number} of {name} has had {trial.attempts} attempts; there is no attempt {chosen}")
    current = trial.current
    running = current is not None and current.number == chosen
    instance = current.instance if current is not None else next(iter(c.core.state.instances), "")
    page = await c.logs.read(instance, attempt_id(name, number, chosen), offset, limit)
    if running or not page.missing:
        return page
    return LogPage(attempt=page.attempt, offset=page.offset, next_offset=page.offset, text="", end=True)


def _asked(experiment: Experiment, action: str, secrets: dict[str, str]) -> e.PauseAsked | e.ResumeAsked | e.StopAsked:
    name, state = experiment.name, experiment.state
    if action == "stop":
        return e.StopAsked(experiment=name)
    if action not in ("pause", "resume"):
        raise Refusal(404, f"an experiment can be paused, resumed and stopped; there is no {action!r}")
    if state.ended:
        again = "; `clustertune tune` begins a new one" if action == "resume" else ""
        raise Refusal(409, f"experiment {name} is {state.value} and cannot be {action}d{again}")
    if action == "pause":
        return e.PauseAsked(experiment=name)
    if experiment.absent:
        remedy = f"then end the coordinator with `kill {os.getpid()}`, and resume {name} again"
        raise Refusal(409, f"experiment {name} cannot be resumed: {experiment.absent}; {remedy}")
    missing = [key for key in experiment.secrets if key not in secrets]
    if missing and (experiment.secrets_missing or state is ExperimentState.PAUSED):
        raise Refusal(422, f"no value was given for the secrets {', '.join(missing)}; set them in the environment")
    return e.ResumeAsked(experiment=name, secrets=not missing)


def _guard(app: FastAPI, token: str) -> None:
    """A page in the user's browser has neither our token nor our name; one that guessed the port is refused."""

    @app.middleware("http")
    async def check(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        host = request.headers.get("host", "").rpartition(":")[0] or request.headers.get("host", "")
        if host not in _LOCAL_NAMES or "origin" in request.headers:
            return JSONResponse({"error": "requests from web pages are refused"}, status_code=403)
        length = int(request.headers.get("content-length") or 0)
        if length > MAX_BODY_BYTES and not request.url.path.startswith(LARGE_BODIES):
            return JSONResponse({"error": "the request is too large"}, status_code=413)
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(given.encode(), token.encode()):
            return JSONResponse({"error": "the token is missing or wrong"}, status_code=401)
        return await call_next(request)


def _explain(app: FastAPI) -> None:
    @app.exception_handler(Refusal)
    async def refused(request: Request, error: Refusal) -> Response:  # noqa: ARG001 - FastAPI's shape
        return JSONResponse({"error": str(error)}, status_code=error.status)

    @app.exception_handler(NoSuchName)
    async def unknown(request: Request, error: NoSuchName) -> Response:  # noqa: ARG001
        return JSONResponse({"error": str(error)}, status_code=404)

    @app.exception_handler(Mistake)
    async def impossible(request: Request, error: Mistake) -> Response:  # noqa: ARG001
        return JSONResponse({"error": str(error)}, status_code=409)

    @app.exception_handler(DefinitionMistake)
    async def mistaken(request: Request, error: DefinitionMistake) -> Response:  # noqa: ARG001
        return JSONResponse({"error": str(error)}, status_code=422)

    @app.exception_handler(JournalError)
    async def unwritten(request: Request, error: JournalError) -> Response:  # noqa: ARG001
        return JSONResponse({"error": str(error)}, status_code=503)


def _check_journal(coordinator: Coordinator) -> None:
    if coordinator.journal.problem:
        raise JournalFull(coordinator.journal.problem)


async def _body(request: Request) -> dict[str, Any]:
    read = bytearray()
    async for piece in request.stream():
        read += piece
        if len(read) > MAX_BODY_BYTES:
            raise Refusal(413, "the request is too large")
    try:
        body = json.loads(read) if read else {}
    except (ValueError, RecursionError) as error:
        raise Refusal(422, f"the request's body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise Refusal(422, "the request's body must be a JSON object")
    return body


def _secrets(body: dict[str, Any]) -> dict[str, str]:
    found = body.get("secrets", {})
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise Refusal(422, "secrets must map names to texts")
    return found
