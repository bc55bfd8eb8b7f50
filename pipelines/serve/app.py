"""The server as a whole: which bundle, which address, which Serve deployments.

Two deployments, an ingress that speaks HTTP and replicas that hold the model, so that decoding uploads never waits for a
batch and replicas can be added without touching the interface. `start` returns as soon as the model answers: the demo has
other things to do meanwhile, and the command waits in ``job.py``.
"""

import logging
import socket
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field
from ray import serve
from ray.serve.config import HTTPOptions, ProxyLocation
from ray.serve.schema import LoggingConfig

from infra.errors import UserError
from infra.session import Session
from pipelines.serve.choice import bundle_to_serve
from pipelines.serve.ingress import MODEL_NAME, Ingress
from pipelines.serve.replica import GeneratorReplica

logger = logging.getLogger(__name__)

INGRESS_CONNECTIONS = 256
"""Requests that wait inside the ingress at a time; Serve's own default of 5 would keep batches small."""
HEALTH_CALLS = 8
"""Room in a replica beside one batch being drawn and one being gathered, so that health checks pass when it is full."""


class ServeConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """What is served, where, and how wide."""

    bundle: str = ""
    """Folder of a generator bundle; "" takes the registry's champion, or the bundle that comes with the package."""
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)]
    """TCP port; 0 takes a free one."""
    num_replicas: Annotated[int, Field(ge=1)]
    cpus_per_replica: Annotated[int, Field(ge=1)]
    """CPUs that Ray sets aside for a replica, and the threads torch uses in it."""
    max_batch_images: Annotated[int, Field(ge=1)]
    """Pictures drawn together at most."""
    wait_ms: Annotated[float, Field(ge=0)]
    """How long the first picture of a batch waits for others."""
    max_queued_images: Annotated[int, Field(ge=1)]
    """Pictures waiting or being drawn beyond which requests are answered with 429."""
    timeout_s: Annotated[float, Field(gt=0)]
    """A request that takes longer is answered with 408."""


def start(config: ServeConfig, session: Session) -> str:
    """Serves in the background and gives the base URL, once the model is loaded and answers.

    Raises:
        UserError: the port is taken, the bundle cannot be used, or this Ray cluster is serving already.
    """
    folder = bundle_to_serve(config.bundle, session)
    port = usable_port(config.host, config.port)
    session.start_ray()
    if serve.status().applications:
        raise UserError(f"this Ray cluster serves {', '.join(serve.status().applications)} already; stop that first")
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    quiet = LoggingConfig(log_level=logging.WARNING, enable_access_log=False)
    options = HTTPOptions(host=config.host, port=port, request_timeout_s=config.timeout_s)
    serve.start(proxy_location=ProxyLocation.HeadOnly, http_options=options, logging_config=quiet)
    try:
        serve.run(application(config, folder), name=MODEL_NAME, route_prefix="/", logging_config=quiet)
    except BaseException:
        serve.shutdown()
        raise
    return f"http://{_reachable(config.host)}:{port}"


def stop() -> None:
    """Ends what `start` began; Ray goes on."""
    serve.shutdown()


def application(config: ServeConfig, folder: Path) -> serve.Application:
    """The two deployments, bound to each other."""
    replica = serve.deployment(
        name="generator",
        num_replicas=config.num_replicas,
        ray_actor_options={"num_cpus": config.cpus_per_replica},
        max_ongoing_requests=2 * config.max_batch_images + HEALTH_CALLS,
    )(GeneratorReplica)
    ingress = serve.deployment(
        name="ingress", ray_actor_options={"num_cpus": 0}, max_ongoing_requests=INGRESS_CONNECTIONS
    )(Ingress)
    generator = replica.bind(folder, max_batch_images=config.max_batch_images, wait_ms=config.wait_ms)
    return ingress.bind(generator, max_queued_images=config.max_queued_images)


def usable_port(host: str, port: int) -> int:
    """`port` when nobody listens there, a free one for 0. Serve's own message for a taken port is a page long.

    Raises:
        UserError: the port is taken or the host is not ours.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            return probe.getsockname()[1]
    except OSError as error:
        raise UserError(f"cannot listen on {host} port {port} ({error.strerror}); choose another with --port") from error


def _reachable(host: str) -> str:
    """A host name that a client on this machine can use for what the server listens on."""
    if host in ("0.0.0.0", "::"):
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
