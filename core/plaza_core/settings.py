"""Every setting of the hub, typed and described, in one place.

Priority: environment (`PLAZA_…`), then `plaza.toml` in the working directory, then the default.
The page `docs/settings.md` is written from these descriptions; a test fails when it is stale.
"""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from plaza_core.pools import MAIN_POOL, Pool, valid_pools


class Settings(BaseSettings):
    """Settings of one installation. Frozen: processes read them once at start."""

    model_config = SettingsConfigDict(
        env_prefix="PLAZA_", toml_file="plaza.toml", frozen=True, extra="forbid"
    )

    # Where things live
    state_dir: Path = Field(
        Path(".plaza"), description="Database, bundles, secrets, spool and logs of this node."
    )
    database_url: str | None = Field(
        None,
        description="SQLAlchemy URL of the hub's database; default: SQLite in `state_dir`.",
        repr=False,
    )
    database_owner_url: str | None = Field(
        None,
        description="PostgreSQL: the same database as its owner, who migrates it at start; "
        "default: it was migrated before (`python -m plaza_tenancy`).",
        repr=False,
    )
    mlflow_uri: str | None = Field(
        None, description="MLflow tracking and registry URI; default: SQLite in `state_dir`."
    )
    blobs: str | None = Field(
        None,
        description="Where the files of bundles are kept: `s3://BUCKET/PREFIX`; default: `blobs` "
        "in `state_dir`.",
    )
    s3_endpoint: str = Field(
        "https://s3.amazonaws.com", description="Address of the S3 server of `blobs`."
    )
    s3_region: str = Field("us-east-1", description="Its region; what most servers expect.")
    s3_keys_file: Path | None = Field(
        None,
        description='File of mode 0600 with `access_key = "…"` and `secret_key = "…"` (TOML). Only '
        "control reads it: replicas get bundles from control.",
    )
    bundle_cache_mb: int = Field(
        8192,
        ge=64,
        description="Bundle files a node keeps; those used longest ago leave, never open ones.",
    )
    search_memory_mb: int = Field(
        512,
        ge=16,
        description="Search indexes that control keeps in memory; those used longest ago leave.",
    )
    mlflow_poll_s: float = Field(
        10.0, ge=0.1, description="How often MLflow is asked for aliases that people moved there."
    )
    mlflow_artifact_root: Path | None = Field(
        None,
        description="Directory below which models logged into files may be imported; default: "
        "only what MLflow's server hands out (`mlflow-artifacts:`).",
    )
    data: Path | None = Field(
        None, description="Directory with downloaded data sets, for training and evaluation."
    )

    # Addresses
    listen: str = Field("127.0.0.1", description="Address that the public ports bind.")
    http_port: int = Field(8000, description="Inference over HTTP (Ray Serve's HAProxy ingress).")
    grpc_port: int = Field(
        8001, ge=0, description="Inference over gRPC, by the main pool's replicas; 0: none."
    )
    control_port: int = Field(8080, description="Admin API and console.")
    dashboard_port: int = Field(8265, description="Ray's REST API; loopback only, token required.")
    ray_port: int = Field(6379, description="Ray's GCS.")
    control_url: str | None = Field(
        None,
        description="How replicas and the CLI reach control; default: loopback, `control_port`.",
    )
    haproxy_stats_port: int = Field(8404, description="HAProxy's statistics page; never public.")
    haproxy_metrics_port: int = Field(9101, description="HAProxy's exporter; never public.")
    internal_ports: int = Field(
        21000,
        ge=1024,
        le=64_535,
        description="First of 1,000 ports for what runs inside: Ray's agents, workers, replicas. "
        "Keep the block out of the kernel's ephemeral range (32768-60999).",
    )
    node_ip: str = Field(
        "127.0.0.1",
        description="Address by which Ray's nodes know this one. Loopback keeps every port of a "
        "single node on loopback; a cluster of several needs the address in its private network.",
    )

    # The main pool
    replicas: int = Field(
        1,
        ge=1,
        description="Replicas of the main pool. One is fastest on two cores; with two or more the "
        "loss of one leaves no gap.",
    )
    worker_threads: int = Field(
        2, ge=1, description="Threads of a replica that prepare, run and interpret."
    )
    replica_cpus: float = Field(
        0.1, description="CPU share that Ray reserves per replica: placement only, not a limit."
    )
    bypass: bool = Field(
        True, description="Answer in the middleware hook, before Ray Serve's per-request code."
    )
    queue_limit: int = Field(
        512, ge=1, description="Requests that may wait in one replica; more are refused with 503."
    )
    latency_target_ms: int = Field(
        0,
        ge=0,
        description="In what time requests are to be answered where the model's own limits name no "
        "target: who would wait longer behind others is refused at once with 503. 0: their "
        "deadlines alone decide.",
    )
    batch_delay_us: int = Field(
        0, ge=0, description="How long a worker waits for company; 0 takes what waits already."
    )
    batch_join_us: int = Field(
        12_000,
        ge=0,
        description="Requests are joined while their run stays under this; 0 joins up to the "
        "model's own limit. On a CPU longer joined runs save nothing and delay everybody; a model "
        "for which they do names a `latency_target_ms`, and half of that counts instead.",
    )
    model_memory_mb: int = Field(
        2048,
        ge=64,
        description="Budget of a replica for opened models; least recently used leave. On `cpu` "
        "also the cap on what their runs take: one that would pass it fails.",
    )
    model_idle_s: float = Field(
        0.0,
        ge=0,
        description="A model that runs in the replica itself is closed when nobody used it for that"
        " long, also one that an alias names; the next use opens it again. Kept are versions of a "
        "rollout and those loaded by name. 0: never.",
    )
    default_deadline_ms: int = Field(
        10_000, ge=1, description="Deadline of a request that names none."
    )
    max_body_mb: int = Field(16, ge=1, description="Largest request body, counted while reading.")
    max_answer_mb: int = Field(64, ge=1, le=1024, description="Largest answer over gRPC.")
    max_json_depth: int = Field(32, ge=4, description="Deepest nesting of a JSON body.")
    max_image_pixels: int = Field(
        40_000_000, description="Largest picture, checked before it is decoded."
    )
    table_wait_s: float = Field(20.0, description="Long poll of the hub table.")
    spool: Literal["local", "remote"] = Field(
        "local",
        description="Where usage becomes durable before an answer: a file on this node, or control",
    )

    # Registry and limits
    max_bundle_mb: int = Field(512, ge=1, description="Largest bundle that may be registered.")
    examine_timeout_s: float = Field(
        30.0,
        description="Time limit of an examination; small files get less (`examine_least_s`).",
    )
    examine_least_s: float = Field(
        5.0,
        ge=2,
        description="Processor time of an examination of the smallest file; 1 s more for each "
        "16 MB. Raise it for small models that compute seconds for one row.",
    )
    examine_memory_mb: int = Field(3072, description="Memory limit of the sandboxed examination.")
    retired_keep_days: int = Field(
        30, ge=0, description="How long a retired version can be restored before `gc` may take it."
    )
    rate_per_second: float = Field(
        100.0, gt=0, description="Requests per second of a new organisation; admins may change it."
    )
    rate_burst: int = Field(200, ge=1, description="Requests a new organisation may send at once.")

    # People
    oidc_issuer: str | None = Field(
        None, description="OpenID provider by which people log in; without it there are only keys."
    )
    oidc_client_id: str | None = Field(
        None,
        description="What the provider knows this hub as. Register `PUBLIC_URL/auth/callback`.",
    )
    oidc_client_secret: str | None = Field(
        None, description="The secret that goes with it; none for a public client.", repr=False
    )
    public_url: str | None = Field(
        None, description="Control's address as browsers see it; default: loopback, `control_port`."
    )
    session_hours: int = Field(12, ge=1, le=720, description="How long a login lasts.")

    # Clients
    url: str | None = Field(
        None, description="Where the CLI and the SDK call models; default: loopback, `http_port`."
    )
    api_key: str | None = Field(None, description="Key that the CLI and the SDK send.", repr=False)
    loopback_key: str | None = Field(
        None,
        description="Development: programs of this machine that bring no key have this one, over "
        "HTTP and gRPC. Refused unless `listen` and `node_ip` are loopback.",
        repr=False,
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Level of Plaza's own log lines."
    )

    # Further pools
    pools: Annotated[list[Pool], AfterValidator(valid_pools)] = Field(
        [],
        description="Pools besides the main one, each with `name`, `provider`, `options`, "
        "`environment` (the Python of its virtual environment), `resources`, `cpus`, `grpc_port` "
        "(its own; none unless given), and `replicas`"
        " or `autoscaling` (`min_replicas`, `max_replicas`, `queue_ms`); `[[pools]]` in TOML, a "
        "JSON list in the environment. Each answers at `/pools/NAME`.",
    )

    forward_limit: int = Field(
        256,
        ge=1,
        description="Requests that a replica of the main pool may have on their way to other pools "
        "at once, of one organisation half as many; more are refused with 503.",
    )

    # Cells
    cells: bool = Field(
        True,
        description="Run versions of organisations, unless an admin approved them for everybody, "
        "in sandboxed processes of their own. Off: for a laptop whose only tenant trusts its "
        "models.",
    )
    cell_memory_mb: int = Field(
        64,
        ge=0,
        description="What such a version may take beyond its process (80 MB) and twice its "
        "estimate. All of it counts against `model_memory_mb`.",
    )
    cell_idle_s: float = Field(
        600.0,
        ge=0,
        description="Such a process, unused for that long, is given back; 0: never. The next use "
        "starts another, in about half a second.",
    )

    @model_validator(mode="after")
    def _only_at_home(self) -> Self:
        if self.loopback_key and not (_loopback(self.listen) and _loopback(self.node_ip)):
            raise ValueError("loopback_key needs listen and node_ip on loopback")
        return self

    @model_validator(mode="after")
    def _ports_of_their_own(self) -> Self:
        """gRPC shares its port among replicas, so the kernel would not mind a wrong one."""
        others = (self.http_port, self.control_port, self.dashboard_port, self.ray_port,
                  self.haproxy_stats_port, self.haproxy_metrics_port)  # fmt: skip
        taken = {port for port in others if port}
        for pool in self.all_pools:
            if pool.grpc_port is None:
                continue
            if pool.grpc_port in taken:
                raise ValueError(f"port {pool.grpc_port}, gRPC of pool '{pool.name}', is taken")
            taken.add(pool.grpc_port)
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 the base class names it
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 as above
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    @property
    def all_pools(self) -> tuple[Pool, ...]:
        """The main pool first."""
        main = Pool(
            name=MAIN_POOL,
            replicas=self.replicas,
            cpus=self.replica_cpus,
            grpc_port=self.grpc_port or None,
        )
        return (main, *self.pools)

    @property
    def address(self) -> str:
        return self.url or f"http://127.0.0.1:{self.http_port}"

    @property
    def control_address(self) -> str:
        return self.control_url or f"http://127.0.0.1:{self.control_port}"

    @property
    def public_address(self) -> str:
        return self.public_url or f"http://127.0.0.1:{self.control_port}"

    @property
    def database(self) -> str:
        return self.database_url or f"sqlite+pysqlite:///{self.state_dir.resolve()}/plaza.db"

    @property
    def mlflow(self) -> str:
        return self.mlflow_uri or f"sqlite:///{self.state_dir.resolve()}/mlflow.db"


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
