"""Run real Asterisks on loopback: a PBX that includes the product's dialplan, and the phone network around it.

An :class:`Asterisk` has its own directories, ports and configuration, and dies with the process that started it.
:class:`Lab` starts the usual pair. What plays the people is in :mod:`tests.pbx.phones`.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import random
import re
import secrets
import shutil
import signal
import socket
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Self

from tests.pbx.amiclient import AmiClient, AmiError
from tests.pbx.provision import PROJECT_ROOT, Tree, provision

TEMPLATES = Path(__file__).parent / "conf"
DIALPLAN = PROJECT_ROOT / "asterisk-dialplan"
PHONES = ("1001", "1002", "1003", "1004", "1005", "1006")
READER = ("cti-reader", "change-me-reader")
ACTOR = ("cti-actor", "change-me-actor")
PUBLISHER = ("cti-publisher", "change-me-publisher")
"""User name and secret of the three accounts that the product ships, as the test PBX has them."""

_PR_SET_PDEATHSIG = 1
_START_TIMEOUT_S = 30.0
_RTP_FIRST, _RTP_ROOMS, _RTP_PORTS = 20000, 30, 400


class AsteriskError(RuntimeError):
    """An instance did not start, died or did not stop; the message ends with the tail of its log."""


class Role(Enum):
    PBX = "main"
    PHONES = "phones"


@dataclass(frozen=True)
class QueueConfig:
    """A queue of the test PBX; durations in seconds. ``extra`` holds further lines of queues.conf."""

    name: str
    strategy: str = "rrmemory"
    timeout: int = 15
    retry: int = 1
    wrapuptime: int = 0
    maxlen: int = 0
    servicelevel: int = 20
    joinempty: str = "yes"
    leavewhenempty: str = "no"
    extra: Mapping[str, str] = field(default_factory=dict)
    members: tuple[str, ...] = ()
    """Static members as they stand in queues.conf, for example ``PJSIP/1001,0,2001,PJSIP/1001``."""

    def text(self) -> str:
        settings = {
            "strategy": self.strategy,
            "timeout": self.timeout,
            "retry": self.retry,
            "wrapuptime": self.wrapuptime,
            "maxlen": self.maxlen,
            "servicelevel": self.servicelevel,
            "joinempty": self.joinempty,
            "leavewhenempty": self.leavewhenempty,
            "ringinuse": "no",
            "autopause": "no",
            "reportholdtime": "no",
            "setinterfacevar": "yes",
            **self.extra,
        }
        lines = [f"[{self.name}]", *(f"{key} = {value}" for key, value in settings.items())]
        return "\n".join([*lines, *(f"member => {member}" for member in self.members)])


@dataclass(frozen=True)
class PbxConfig:
    """What a test may want different. ``globals`` are dialplan globals, such as ``CTI_RING_SECONDS``."""

    queues: tuple[QueueConfig, ...] = (QueueConfig("sales"), QueueConfig("support"))
    phones: tuple[str, ...] = PHONES
    globals: Mapping[str, str] = field(
        default_factory=lambda: {
            "CTI_RING_SECONDS": "3",
            "CTI_SILENCE_SECONDS": "2",
            "CTI_CONFIRM_SECONDS": "2",
        }
    )
    qualify_s: int = 0
    """How often the PBX asks whether a phone is there; 0 = never, and then every phone counts as reachable."""
    dialplan_extra: str = ""
    """More text for the PBX's extensions.conf."""
    spoken_prompts: bool = False
    """Play the product's real prompts; otherwise each of them is a tenth of a second of silence."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """More environment of the process, for example TZ."""
    modules: tuple[str, ...] = ()
    """More modules of the PBX."""
    files: Mapping[str, str] = field(default_factory=dict)
    """More of the PBX's configuration files, by name."""


@dataclass(frozen=True)
class Ports:
    """Loopback ports of one instance, below the range the kernel hands out by itself."""

    ami: int
    sip: int

    @classmethod
    def free(cls) -> Ports:
        return cls(
            ami=_free_port(socket.SOCK_STREAM),
            sip=_free_port(socket.SOCK_DGRAM, "127.0.0.1", "127.0.0.2"),
        )


class _RtpPorts:
    """Ports to talk on, claimed for as long as nobody releases them.

    Two instances on the same ones run out of them, and hear what is still said to a port that the other has given up.
    """

    def __init__(self) -> None:
        rooms = list(range(_RTP_FIRST, _RTP_FIRST + _RTP_ROOMS * _RTP_PORTS, _RTP_PORTS))
        random.shuffle(rooms)
        for room in rooms:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as claim:
                try:
                    claim.bind(("127.0.0.1", room))  # whoever has the first port has the room
                except OSError:
                    continue
                self.first, self.last = room + 2, room + _RTP_PORTS - 1
                self._claim = claim.detach()
                return
        raise AsteriskError("no free ports for RTP on loopback between 20000 and 31999")

    def release(self) -> None:
        os.close(self._claim)


class Asterisk:
    """One instance. Start it with ``async with`` or with :meth:`start` and :meth:`stop`.

    ``directory`` is kept when it is given, and otherwise removed at the end.
    """

    def __init__(
        self,
        tree: Tree,
        role: Role = Role.PBX,
        *,
        config: PbxConfig | None = None,
        directory: Path | None = None,
        ports: Ports | None = None,
        peer_sip_port: int = 9,
    ) -> None:
        self._tree, self._role = tree, role
        self._config = config or PbxConfig()
        self._keep = directory is not None
        self.directory = directory or Path(tempfile.mkdtemp(prefix=f"cti-{role.value}-"))
        self.ports = ports or Ports.free()
        self._rtp: _RtpPorts | None = None
        self._peer_sip_port = peer_sip_port
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = False
        self.test_secret = secrets.token_hex(8)
        self.version = ""
        """For example ``asterisk 22.10.1``; known after the first start."""

    # --- where things are ---

    @property
    def ami_port(self) -> int:
        return self.ports.ami

    @property
    def sip_port(self) -> int:
        return self.ports.sip

    @property
    def etc_dir(self) -> Path:
        return self.directory / "etc"

    @property
    def log_dir(self) -> Path:
        return self.directory / "log"

    @property
    def log_path(self) -> Path:
        return self.log_dir / "full"

    @property
    def queue_log_path(self) -> Path:
        return self.log_dir / "queue_log"

    @property
    def cdr_csv_path(self) -> Path:
        """CDR rows with microsecond epochs; columns as in asterisk-dialplan/cdr-cel-cti.example.conf."""
        return self.log_dir / "cdr-custom/cti.csv"

    @property
    def cel_path(self) -> Path:
        return self.log_dir / "cel-custom/cti.csv"

    @property
    def astdb_path(self) -> Path:
        return self.directory / "var/astdb.sqlite3"

    @property
    def pid(self) -> int:
        if self._process is None or self._process.returncode is not None:
            raise AsteriskError(self._died("is not running"))
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    def cpu_seconds(self) -> float:
        """CPU time of the process so far, user and system."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    # --- life ---

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
        self.remove()

    async def start(self) -> None:
        """Start and return when AMI answers a login and Asterisk is fully booted; AsteriskError otherwise."""
        if self.running:
            return
        self._write_configuration()
        output = (self.log_dir / "output").open("ab")
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._tree.command("-f", "-C", str(self.etc_dir / "asterisk.conf")),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **self._config.environment},
                preexec_fn=_die_with_parent,
                start_new_session=True,
            )
        finally:
            output.close()
        booting = asyncio.create_task(self._booted())
        dying = asyncio.create_task(self._process.wait())
        done, pending = await asyncio.wait({booting, dying}, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        if booting not in done:
            raise AsteriskError(self._died("did not start"))
        try:
            booting.result()
        except AmiError as error:
            await self.kill9()
            raise AsteriskError(self._died(f"did not start ({error})")) from error

    async def stop(self) -> None:
        """Stop at once but in order (channels are hung up, AstDB is written); killed if it takes over 10 s."""
        await self._end(signal.SIGTERM)

    async def kill9(self) -> None:
        """Kill without warning, as a power cut would."""
        await self._end(signal.SIGKILL)

    async def restart(self, *, kill: bool = False) -> None:
        """Stop (or kill) and start with the same directories, AstDB and ports."""
        await (self.kill9() if kill else self.stop())
        await self.start()

    def remove(self) -> None:
        """Delete the directory, unless it was given by the caller; its ports are others' to take."""
        if self._rtp is not None:
            self._rtp.release()
            self._rtp = None
        if not self._keep:
            shutil.rmtree(self.directory, ignore_errors=True)

    async def ami(self, username: str = "test", secret: str | None = None) -> AmiClient:
        """A new AMI session; the account ``test`` may see and do everything."""
        return await AmiClient.connect(self.ami_port, username, secret or self.test_secret)

    def log_tail(self, lines: int = 30) -> str:
        parts = []
        for path in (self.log_path, self.log_dir / "output"):
            if path.is_file():
                tail = path.read_text(errors="replace").splitlines()[-lines:]
                parts.append(f"--- {path.name}\n" + "\n".join(tail))
        return "\n".join(parts)

    async def _booted(self) -> None:
        async with await AmiClient.connect(
            self.ami_port, "test", self.test_secret, timeout=_START_TIMEOUT_S
        ) as session:
            await session.wait_for("FullyBooted", timeout=_START_TIMEOUT_S)
            settings = await session.action("CoreSettings")
            version = re.match(r"[\d.]+", settings["AsteriskVersion"])
            self.version = f"asterisk {version.group() if version else settings['AsteriskVersion']}"

    async def _end(self, how: signal.Signals) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(how)
        try:
            async with asyncio.timeout(10):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    def _died(self, what: str) -> str:
        code = self._process.returncode if self._process is not None else None
        return f"Asterisk ({self._role.value}) {what}; exit code {code}\n{self.log_tail()}"

    # --- configuration ---

    def _write_configuration(self) -> None:
        for name in ("etc", "run", "log/cdr-csv", "log/cdr-custom", "log/cel-custom", "var/moh", "var/spool"):
            (self.directory / name).mkdir(parents=True, exist_ok=True)
        # Half a second of silence is music enough.
        (self.directory / "var/moh/silence.ulaw").write_bytes(b"\xff" * 4000)
        self._write_data_directory()
        if self._role is Role.PBX and not self._config.spoken_prompts:
            self._write_silent_prompts()
        values = self._values()
        role = TEMPLATES / self._role.value
        values["phone_endpoints"] = "\n".join(
            _fill((role / "phone_endpoint.conf").read_text(), {**values, "ext": phone})
            for phone in self._config.phones
        )
        for template in [*(TEMPLATES / "common").glob("*.conf"), *role.glob("*.conf")]:
            if template.name not in ("phone_endpoint.conf", "empty.conf"):
                (self.etc_dir / template.name).write_text(_fill(template.read_text(), values))
        for name in _EMPTY_FILES:
            target = self.etc_dir / name
            if not target.exists():
                target.write_text("")
        if self._role is Role.PBX:
            for name, text in self._config.files.items():
                (self.etc_dir / name).write_text(text)

    @property
    def _prompts_dir(self) -> Path:
        return DIALPLAN / "prompts" if self._config.spoken_prompts else self.directory / "var/prompts"

    @property
    def _data_dir(self) -> Path:
        return self.directory / "data"

    def _write_data_directory(self) -> None:
        """The tree's, with silence for the sounds that some applications insist on."""
        sounds = self._data_dir / "sounds/en"
        sounds.mkdir(parents=True, exist_ok=True)
        for name, seconds in _SOUNDS.items():
            (sounds / f"{name}.ulaw").write_bytes(b"\xff" * int(8000 * seconds))
        for entry in self._tree.data_dir.iterdir():
            link = self._data_dir / entry.name
            if entry.name != "sounds" and not link.is_symlink():
                link.symlink_to(entry)

    def _write_silent_prompts(self) -> None:
        self._prompts_dir.mkdir(exist_ok=True)
        for prompt in (DIALPLAN / "prompts/en").glob("*.ulaw"):
            (self._prompts_dir / prompt.name).write_bytes(b"\xff" * 800)

    def _values(self) -> dict[str, str]:
        rtp = self._rtp = self._rtp or _RtpPorts()
        modules = _COMMON_MODULES + ((*_PBX_MODULES, *self._config.modules) if self._role is Role.PBX else ())
        return {
            "etc": str(self.etc_dir),
            "run": str(self.directory / "run"),
            "log": str(self.log_dir),
            "var": str(self.directory / "var"),
            "modules": str(self._tree.modules_dir),
            "data": str(self._data_dir),
            "dialplan": str(DIALPLAN),
            "prompts": str(self._prompts_dir),
            "ami_port": str(self.ports.ami),
            "sip_port": str(self.ports.sip),
            "peer_sip_port": str(self._peer_sip_port),
            "rtp_start": str(rtp.first),
            "rtp_end": str(rtp.last),
            "test_secret": self.test_secret,
            "qualify_s": str(self._config.qualify_s),
            "globals": "\n".join(f"{key}={value}" for key, value in self._config.globals.items()),
            "queues": "\n\n".join(queue.text() for queue in self._config.queues),
            "dialplan_extra": self._config.dialplan_extra,
            "modules_list": "\n".join(f"load = {name}.so" for name in modules),
        }


def _fill(template: str, values: Mapping[str, str]) -> str:
    """Replace ``@{name}``; KeyError for a name that nobody knows."""
    return re.sub(r"@\{(\w+)\}", lambda match: values[match.group(1)], template)


def _free_port(kind: socket.SocketKind, *addresses: str) -> int:
    for _ in range(200):
        port = random.randrange(10000, 19999)
        try:
            for address in addresses or ("127.0.0.1",):
                with socket.socket(socket.AF_INET, kind) as probe:
                    probe.bind((address, port))
        except OSError:
            continue
        return port
    raise AsteriskError("no free port on loopback between 10000 and 19999")


def _die_with_parent() -> None:
    """In the child: the kernel kills it when the parent is gone, however that came about."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


_SOUNDS = {
    **dict.fromkeys(
        ("beep", "beeperr", "auth-thankyou", "agent-loginok", "pbx-transfer", "pbx-invalid", "pbx-parkingfailed"), 0.1
    ),
    "three-seconds": 3.0,
}  # fmt: skip
"""Silence of so many seconds by the name of the sound."""

# --- modules: only what is needed, for a start within a second and little memory -----------------------------------

_EMPTY_FILES = (
    "acl.conf", "ccss.conf", "cli.conf", "cli_aliases.conf", "cli_permissions.conf", "codecs.conf", "confbridge.conf",
    "dnsmgr.conf", "dsp.conf", "enum.conf", "extconfig.conf", "features.conf", "http.conf", "pjproject.conf",
    "pjsip_notify.conf", "queuerules.conf", "res_parking.conf", "sorcery.conf", "stasis.conf", "udptl.conf",
    "agents.conf", "cel.conf", "cdr.conf", "geolocation.conf",
)  # fmt: skip

_COMMON_MODULES = (
    "res_timing_timerfd", "res_pjproject", "res_sorcery_config", "res_sorcery_memory", "res_sorcery_astdb",
    "res_geolocation", "res_pjsip", "res_pjsip_session", "res_pjsip_pubsub", "res_pjsip_sdp_rtp",
    "res_pjsip_caller_id", "res_pjsip_dtmf_info", "res_pjsip_endpoint_identifier_ip",
    "res_pjsip_endpoint_identifier_user", "res_pjsip_rfc3326", "res_pjsip_diversion", "res_pjsip_refer",
    "res_pjsip_nat", "res_pjsip_authenticator_digest",
    "res_pjsip_outbound_authenticator_digest", "res_pjsip_logger", "res_rtp_asterisk", "chan_pjsip", "chan_bridge_media",
    "bridge_simple", "bridge_softmix", "bridge_holding", "bridge_native_rtp", "bridge_builtin_features",
    "codec_ulaw", "codec_alaw", "codec_resample", "format_pcm", "format_wav", "pbx_config", "app_bridgewait", "app_dial", "app_db",
    "app_exec", "app_playback", "app_senddtmf", "app_stack", "app_transfer", "app_userevent", "app_verbose",
    "func_callerid", "func_channel", "func_cut", "func_db", "func_global", "func_logic", "func_math", "func_md5",
    "func_strings",
)  # fmt: skip

_PBX_MODULES = (
    "res_cdrel_custom", "res_manager_devicestate", "res_musiconhold", "res_parking", "app_queue", "app_readexten", "app_read", "app_cdr",
    "app_agent_pool", "app_attended_transfer", "app_blind_transfer", "app_bridgeaddchan",
    "app_chanspy", "app_confbridge", "app_controlplayback", "app_directed_pickup", "app_echo", "app_mixmonitor",
    "app_originate", "app_playtones", "app_record", "app_softhangup", "app_voicemail", "app_while", "func_cdr", "func_devstate",
    "func_env", "func_groupcount", "func_hangupcause", "func_rand", "func_sha1", "func_shell", "func_timeout",
    "func_uuid", "cdr_csv", "cdr_custom", "cdr_manager", "cel_custom",
)  # fmt: skip


# --- the usual pair ------------------------------------------------------------------------------------------------


class Lab:
    """A PBX and the phone network around it, both running between ``async with`` and its end."""

    def __init__(
        self, tree: Tree | None = None, *, config: PbxConfig | None = None, directory: Path | None = None
    ) -> None:
        tree = tree or provision()
        self.config = config or PbxConfig()
        pbx_ports, phone_ports = Ports.free(), Ports.free()
        self.pbx = Asterisk(
            tree, Role.PBX, config=self.config, ports=pbx_ports, peer_sip_port=phone_ports.sip,
            directory=directory / "pbx" if directory else None,
        )  # fmt: skip
        self.phones = Asterisk(
            tree, Role.PHONES, config=self.config, ports=phone_ports, peer_sip_port=pbx_ports.sip,
            directory=directory / "phones" if directory else None,
        )  # fmt: skip

    async def __aenter__(self) -> Self:
        try:
            await asyncio.gather(self.pbx.start(), self.phones.start())
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(self.pbx.stop(), self.phones.stop())
        self.pbx.remove()
        self.phones.remove()
