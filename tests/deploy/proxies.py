"""The proxies of examples/deploy/, each with its configuration as it is there but for ports and certificates."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import ClassVar

from tools.servers import START_TIMEOUT, Missing, Server, which

EXAMPLES = Path(__file__).parents[2] / "examples" / "deploy"


class Proxy(Server):
    """A proxy on a random port of localhost, with a certificate of its own in `certificate`.

    Args:
        application: the port of the server behind it.
    """

    program: ClassVar[str]
    file: ClassVar[str]
    ready_line = b""  # they log nothing when ready; their port opens

    def __init__(self, application: int) -> None:
        super().__init__()
        self._application = application
        self.certificate = self.folder / "app.example.com.crt"
        self.url = f"https://localhost:{self.port}"

    def _find_binaries(self) -> None:
        self._program = which(self.program)
        if not self._program or not which("openssl"):
            raise Missing(f"no {self.install.partition(' ')[0]} or no openssl: install {self.install}, and openssl")

    def _prepare(self) -> None:
        key = self.folder / "app.example.com.key"
        self._run(
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", self.certificate),
        )
        (self.folder / "app.example.com.pem").write_bytes(self.certificate.read_bytes() + key.read_bytes())
        text = (EXAMPLES / self.file).read_text(encoding="utf-8")
        for given, here in {"127.0.0.1:8000": f"127.0.0.1:{self._application}", **self._replacements()}.items():
            assert given in text, f"examples/deploy/{self.file} has no {given!r}"
            text = text.replace(given, here)
        (self.folder / self.file).write_text(text, encoding="utf-8")

    def _replacements(self) -> dict[str, str]:
        return {"/etc/ssl": str(self.folder)}

    def start(self) -> None:
        super().start()
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            try:
                return socket.create_connection(("127.0.0.1", self.port)).close()
            except ConnectionRefusedError:
                if self._process is None or self._process.poll() is not None or time.monotonic() > deadline:
                    log = (self.folder / "server.log").read_text(errors="replace")
                    raise RuntimeError(f"{self.program} did not start:\n{log}") from None
                time.sleep(0.02)


class Nginx(Proxy):
    install = "nginx (Debian: apt install nginx)"
    program = "nginx"
    file = "nginx.conf"

    def _replacements(self) -> dict[str, str]:
        return super()._replacements() | {"listen 443": f"listen 127.0.0.1:{self.port}"}

    def _command(self) -> list[str]:
        # What Debian's own nginx.conf has around such a file, in a folder that any user may write to.
        (self.folder / "main.conf").write_text(
            "daemon off; pid nginx.pid; error_log stderr;\n"
            "events {}\n"
            "http {\n"
            "    access_log off;\n"
            + "".join(
                f"    {name}_temp_path {name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
            )
            + f"    include {self.file};\n"
            "}\n"
        )
        return [str(self._program), "-p", str(self.folder), "-c", "main.conf", "-e", "stderr"]


class HAProxy(Proxy):
    install = "HAProxy (Debian: apt install haproxy)"
    program = "haproxy"
    file = "haproxy.cfg"

    def _replacements(self) -> dict[str, str]:
        return super()._replacements() | {"bind :443": f"bind 127.0.0.1:{self.port}"}

    def _command(self) -> list[str]:
        return [str(self._program), "-db", "-f", self.file]


class Caddy(Proxy):
    install = "Caddy (Debian: apt install caddy)"
    program = "caddy"
    file = "Caddyfile"

    def _replacements(self) -> dict[str, str]:
        # The certificate cannot be obtained by itself here, and the ports are not the usual ones.
        certificate = f"tls {self.certificate} {self.certificate.with_suffix('.key')}"
        options = "{\n\tadmin off\n\tauto_https disable_redirects\n}\n"
        return {"app.example.com {": f"{options}{self.url} {{\n\tbind 127.0.0.1\n\t{certificate}"}

    def _command(self) -> list[str]:
        command = [str(self._program), "run", "--adapter", "caddyfile", "--config", self.file]
        return [
            "env",
            f"HOME={self.folder}",
            f"XDG_CONFIG_HOME={self.folder}",
            f"XDG_DATA_HOME={self.folder}",
            *command,
        ]
