"""Apache Kafka with listeners of every kind: TLS, client certificates, passwords, tokens; with the certificates, users and rights.

Here: the settings of the broker, and the identity provider of its tokens. Clients on its plain listener have all rights; users on
the others have the rights that a test grants.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID
from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    KafkaAdminClient,
    ResourcePattern,
    ResourceType,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from emulators.lifecycle import LOOPBACK, free_port
from resources.kafka.settings import TLS, KafkaSettings

PASSWORD = "a-word-of-the-tests"
USERS = ("generator", "reader", "stranger")
"""Of PLAIN; those of SCRAM are made by ``scram_user``, those of OAUTHBEARER are subjects of tokens."""
LISTENERS = {"SSL": "SSL", "SASL_PLAINTEXT": "SASL_PLAINTEXT", "SASL_SSL": "SASL_SSL", "EXPIRED": "SSL", "ELSEWHERE": "SSL"}
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER")
AUDIENCE = "kafka"
KEY_ID = "tests"
_MODULES = "org.apache.kafka.common.security"


@dataclass(frozen=True)
class GuardedKafka:
    """The broker's listeners, and the files beside it."""

    plain: str
    folder: Path
    ports: dict[str, int]
    issuer: Issuer

    def at(self, listener: str) -> str:
        """The address of a listener."""
        return f"{LOOPBACK}:{self.ports[listener]}"

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    def settings(self, listener: str, **settings: Any) -> KafkaSettings:
        """The settings of a client at this listener, which trusts the broker's authority where there is one."""
        protocol = LISTENERS[listener]
        trust = {"kafka_ssl_ca_file": self.ca} if protocol in TLS else {}
        known = {"kafka_bootstrap_servers": self.at(listener), "kafka_security_protocol": protocol}
        return KafkaSettings(**known | trust | settings)

    def as_user(
        self, user: str = "generator", *, mechanism: str = "PLAIN", listener: str = "SASL_SSL", **settings: Any
    ) -> KafkaSettings:
        """The settings of a user with a password."""
        known = {"kafka_sasl_mechanism": mechanism, "kafka_sasl_username": user, "kafka_sasl_password": PASSWORD}
        return self.settings(listener, **known | settings)

    def as_client(self, **settings: Any) -> KafkaSettings:
        """The settings of a client of the identity provider."""
        known = {
            "kafka_sasl_mechanism": "OAUTHBEARER",
            "kafka_oauth_token_url": self.issuer.url,
            "kafka_oauth_client_id": "generator",
            "kafka_oauth_client_secret": PASSWORD,
        }
        return self.settings("SASL_SSL", **known | settings)

    @contextmanager
    def admin(self) -> Iterator[KafkaAdminClient]:
        with KafkaAdminClient(bootstrap_servers=self.plain) as admin:
            yield admin

    def scram_user(self, user: str, mechanism: str) -> None:
        """Make a user with ``PASSWORD``."""
        chosen = ScramMechanism[mechanism.replace("-", "_")]
        with self.admin() as admin:
            admin.alter_user_scram_credentials([UserScramCredentialUpsertion(user, chosen, PASSWORD, 4096)])

    def allow(self, user: str, resource: ResourceType, name: str, *operations: ACLOperation) -> None:
        """Give a user rights."""
        pattern = ResourcePattern(resource, name)
        with self.admin() as admin:
            admin.create_acls([ACL(f"User:{user}", "*", operation, ACLPermissionType.ALLOW, pattern) for operation in operations])


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@dataclass(frozen=True)
class Authority:
    """A certificate authority of the tests."""

    folder: Path
    key: ec.EllipticCurvePrivateKey = field(default_factory=new_key)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._write("ca", self._sign("tests' authority", self.key.public_key(), days=30, host="", authority=True), None)

    def issue(self, name: str, *, common_name: str = "", host: str = "", days: int = 30, password: bytes = b"") -> Path:
        """``NAME.pem`` with key and certificate; ``NAME.crt`` and ``NAME.key`` hold one each. ``days``: its lifetime."""
        key = new_key()
        return self._write(name, self._sign(common_name or name, key.public_key(), days=days, host=host), key, password)

    def _sign(
        self, name: str, key: ec.EllipticCurvePublicKey, *, days: int, host: str, authority: bool = False
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests' authority")]))
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=60))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if host:
            named: list[x509.GeneralName] = [
                x509.IPAddress(ipaddress.ip_address(host)) if host[0].isdigit() else x509.DNSName(host)
            ]
            builder = builder.add_extension(x509.SubjectAlternativeName(named), critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def _write(
        self, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey | None, password: bytes = b""
    ) -> Path:
        public = certificate.public_bytes(serialization.Encoding.PEM)
        private = b""
        if key is not None:
            hidden = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
            private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, hidden)
            (self.folder / f"{name}.key").write_bytes(private)
            (self.folder / f"{name}.crt").write_bytes(public)
        path = self.folder / f"{name}.pem"
        path.write_bytes(private + public)
        return path


class Issuer:
    """An identity provider: client credentials for a signed token (RFC 6749 section 4.4), at ``url``."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.reset()
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                issuer.requests.append(form)
                scheme, _, credentials = self.headers.get("Authorization", "").partition(" ")
                client, _, secret = base64.b64decode(credentials).decode().partition(":")
                if issuer.answer is not None:
                    self._answer(*issuer.answer)
                elif scheme == "Basic" and issuer.clients.get(client) == secret:
                    issuer.given += 1
                    said = {"access_token": issuer.token(client), "token_type": "Bearer", "expires_in": issuer.lifetime_s}
                    self._answer(200, json.dumps(said).encode())
                else:
                    said = {"error": "invalid_client", "error_description": f"unknown secret {secret}"}
                    self._answer(401, json.dumps(said).encode())

            def _answer(self, status: int, data: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
        self.url = f"http://{LOOPBACK}:{self._server.server_port}/token"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def reset(self) -> None:
        """Restore the initial state."""
        self.clients = {"generator": PASSWORD}
        self.lifetime_s = 300
        self.given = 0
        self.requests: list[dict[str, list[str]]] = []
        self.answer: tuple[int, bytes] | None = None

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def token(self, subject: str, *, seconds: float | None = None) -> str:
        """A signed token."""
        now = time.time()
        ends = now + (self.lifetime_s if seconds is None else seconds)
        claims = {"sub": subject, "aud": AUDIENCE, "iss": "tests", "iat": int(now) - 5, "exp": int(ends) + 1, "scope": "kafka"}
        signed = f"{_base64(json.dumps({'alg': 'RS256', 'kid': KEY_ID}).encode())}.{_base64(json.dumps(claims).encode())}"
        return f"{signed}.{_base64(self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"

    @property
    def keys(self) -> str:
        """Its public keys, as brokers read them (JWKS)."""
        numbers = self._key.public_key().public_numbers()
        n, e = (_base64(number.to_bytes((number.bit_length() + 7) // 8, "big")) for number in (numbers.n, numbers.e))
        return json.dumps({"keys": [{"kty": "RSA", "kid": KEY_ID, "alg": "RS256", "use": "sig", "n": n, "e": e}]})


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def guarded(plain: str, folder: Path, ports: dict[str, int], issuer: Issuer) -> GuardedKafka:
    """The running broker; the user ``generator`` has the rights that the generator needs."""
    kafka = GuardedKafka(plain, folder, ports, issuer)
    rights = {
        ResourceType.TOPIC: (ACLOperation.READ, ACLOperation.WRITE, ACLOperation.CREATE),
        ResourceType.GROUP: (ACLOperation.READ,),
    }
    for resource, operations in rights.items():
        kafka.allow("generator", resource, "*", *operations)
    return kafka


def broker_files(folder: Path, issuer: Issuer) -> tuple[Path, dict[str, int], dict[str, str]]:
    """Write the broker's files; return its file of properties, the ports of its listeners, and its environment."""
    authority = Authority(folder)
    authority.issue("broker", host=LOOPBACK)
    authority.issue("expired", host=LOOPBACK, days=-1)
    authority.issue("elsewhere", host="kafka.elsewhere.example")
    authority.issue("generator")
    authority.issue("generator-locked", common_name="generator", password=PASSWORD.encode())
    Authority(folder / "other").issue("generator")
    keys = folder / "keys.json"
    keys.write_text(issuer.keys)
    ports = {listener: free_port() for listener in LISTENERS}
    addresses = ",".join(f"{listener}://{{host}}:{port}" for listener, port in ports.items())
    users = " ".join(f'user_{user}="{PASSWORD}"' for user in USERS)
    of, plain = "listener.name.sasl_ssl", f"sasl.jaas.config={_MODULES}.plain.PlainLoginModule required {users};"
    lines = [
        f"listeners=PLAINTEXT://{{host}}:{{port}},CONTROLLER://{{host}}:{{controller_port}},{addresses}",
        f"advertised.listeners=PLAINTEXT://{{host}}:{{port}},{addresses}",
        "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,"
        + ",".join(f"{listener}:{protocol}" for listener, protocol in LISTENERS.items()),
        "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users=User:ANONYMOUS",
        f"ssl.keystore.type=PEM\nssl.keystore.location={folder}/broker.pem",
        f"ssl.truststore.type=PEM\nssl.truststore.location={folder}/ca.pem",
        "listener.name.ssl.ssl.client.auth=required",
        *(
            f"listener.name.{name}.ssl.keystore.type=PEM\nlistener.name.{name}.ssl.keystore.location={folder}/{name}.pem"
            for name in ("expired", "elsewhere")
        ),
        "connections.max.reauth.ms=3600000",
        f"listener.name.sasl_plaintext.sasl.enabled.mechanisms=PLAIN\nlistener.name.sasl_plaintext.plain.{plain}",
        f"{of}.sasl.enabled.mechanisms={','.join(MECHANISMS)}\n{of}.plain.{plain}",
        *(
            f"{of}.{scram}.sasl.jaas.config={_MODULES}.scram.ScramLoginModule required;"
            for scram in ("scram-sha-256", "scram-sha-512")
        ),
        f"{of}.oauthbearer.sasl.jaas.config={_MODULES}.oauthbearer.OAuthBearerLoginModule required;",
        f"{of}.oauthbearer.sasl.server.callback.handler.class={_MODULES}.oauthbearer.OAuthBearerValidatorCallbackHandler",
        f"{of}.oauthbearer.sasl.oauthbearer.jwks.endpoint.url=file://{keys}",
        f"{of}.oauthbearer.sasl.oauthbearer.expected.audience={AUDIENCE}",
    ]
    properties = folder / "guarded.properties"
    properties.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return properties, ports, {"JDK_JAVA_OPTIONS": f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=file://{keys}"}
