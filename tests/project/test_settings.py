"""Settings: the file .env and the class agree, the environment takes precedence, wrong values are named, and no secret is shown."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from generia_assets.settings import SECRETS, Settings, SettingsError, load_settings
from local_services import apache_kafka
from local_services.mongod import MissingServiceError, find_mongod
from resources.kafka.settings import DEFAULT_KAFKA, KafkaSettings
from resources.settings import DEFAULT_MONGODB_URI
from tests.support.guarded_kafka import Authority

ROOT = Path(__file__).parents[2]
ENV_FILE = ROOT / ".env"
OTHERS = {"DAGSTER_HOME"}
"""Variables of .env that Dagster reads, not we."""
DEFAULTS_OF_EMPTY = {"MONGODB_URI": DEFAULT_MONGODB_URI, "KAFKA_BOOTSTRAP_SERVERS": DEFAULT_KAFKA}
"""Addresses stay empty in .env, so that `make dev` knows what it has to start; the comment tells the default."""


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    for name in [*Settings.model_fields, *OTHERS]:
        monkeypatch.delenv(name.upper(), raising=False)


def lines():
    return dict(re.findall(r"^([A-Z_]+)=(.*)$", ENV_FILE.read_text("utf-8"), flags=re.MULTILINE))


def env_file(folder, text):
    file = folder / ".env"
    file.write_text(text)
    return file


def test_env_names_every_setting_and_nothing_else():
    """Each field except the secrets is in .env once, in the form that the environment overrides."""
    assert set(lines()) == {name.upper() for name in Settings.model_fields} - set(SECRETS) | OTHERS
    for name, value in lines().items():
        assert re.fullmatch(rf"\$\{{{name}:-[^}}]*\}}", value), name


def test_env_holds_exactly_the_defaults():
    """Reading .env gives the defaults; the comment of an empty address has its default."""
    assert load_settings(ENV_FILE) == load_settings(Path("/nowhere/.env"))
    text = ENV_FILE.read_text("utf-8")
    for name, default in DEFAULTS_OF_EMPTY.items():
        assert lines()[name] == f"${{{name}:-}}"
        assert f"Default {default}\n" in text
    for name, field in Settings.model_fields.items():
        empty = lines().get(name.upper()) == f"${{{name.upper()}:-}}"
        nothing = field.default in (None, "", SecretStr("")) or name.upper() in DEFAULTS_OF_EMPTY
        assert empty == nothing or name.upper() in SECRETS, f"{name} has a default that .env does not tell, or the other way round"


def test_env_holds_no_secret():
    """No secret, key or password is in the tracked file."""
    text = ENV_FILE.read_text("utf-8")
    assert not set(SECRETS) & set(lines())
    assert not re.search(r"AIza|password|://[^/\s]*@", text)


def test_the_environment_overrides_the_file(monkeypatch, tmp_path):
    """A variable overrides both forms of a line, ``NAME=value`` and ``NAME=${NAME:-value}``; an empty variable counts as not
    set."""
    file = env_file(tmp_path, "LLM_CONCURRENCY=3\nIMAGE_CONCURRENCY=${IMAGE_CONCURRENCY:-4}\n")
    assert (load_settings(file).llm_concurrency, load_settings(file).image_concurrency) == (3, 4)
    monkeypatch.setenv("LLM_CONCURRENCY", "7")
    monkeypatch.setenv("IMAGE_CONCURRENCY", "8")
    assert (load_settings(file).llm_concurrency, load_settings(file).image_concurrency) == (7, 8)
    monkeypatch.setenv("LLM_CONCURRENCY", "")
    assert load_settings(file).llm_concurrency == 3


def test_tasks_at_once_follow_the_calls_at_once():
    """100 with R17's limits of calls, in proportion with other limits, and the set value if there is one."""
    assert Settings(_env_file=None).tasks_at_once == 100
    assert Settings(_env_file=None, llm_concurrency=150, image_concurrency=100).tasks_at_once == 1_000
    assert Settings(_env_file=None, llm_concurrency=150, task_concurrency=7).tasks_at_once == 7


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("LLM_CONCURRENCY", "0", "greater than or equal to 1"),
        ("LLM_CONCURRENCY", "many", "valid integer"),
        ("PATIENCE_SECONDS", "-1", "greater than 0"),
        ("BREAKER_FAILURE_RATE", "1.5", "less than or equal to 1"),
        ("MAX_COST_USD", "0", "greater than 0"),
        ("KAFKA_API_VERSION", "two", r"pattern"),
        ("LOG_LEVEL", "LOUD", "DEBUG|INFO|WARNING|ERROR"),
        ("GEMINI_MODEL", "gemini-9", "must be one of gemini-2.5-flash, gemini-2.5-flash-lite"),
        ("KAFKA_BOOTSTRAP_SERVERS", "kafka", "must be host:port[,host:port], and 'kafka' is not"),
        ("KAFKA_BOOTSTRAP_SERVERS", "kafka:9092,:9092", "and ':9092' is not"),
        ("KAFKA_BOOTSTRAP_SERVERS", "kafka:70000", "and 'kafka:70000' is not"),
        ("KAFKA_BOOTSTRAP_SERVERS", "kafka://kafka:9092", "must be host:port"),
        ("GENERIA_COLD_START", "perhaps", "valid boolean"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(monkeypatch, name, value, allowed):
    """The message has the variable, its value and what is allowed."""
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as wrong:
        load_settings(ENV_FILE)
    message = str(wrong.value)
    assert f"{name}={value!r}" in message
    assert allowed in message


TLS = {"KAFKA_SECURITY_PROTOCOL": "SSL"}
USER = {"KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_SASL_MECHANISM": "PLAIN"}
TOKEN = {"KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_SASL_MECHANISM": "OAUTHBEARER"}
CLIENT = {"KAFKA_OAUTH_CLIENT_ID": "me", "KAFKA_OAUTH_CLIENT_SECRET": "hunter2"}  # pragma: allowlist secret


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates")
    authority = Authority(folder)
    authority.issue("me")
    authority.issue("other")
    authority.issue("locked", password=b"hunter2")
    return folder


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        (
            {"KAFKA_SASL_MECHANISM": "PLAIN"},
            "KAFKA_SASL_MECHANISM='PLAIN': is used only with KAFKA_SECURITY_PROTOCOL=SASL_PLAINTEXT or ",
        ),
        ({"KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}, "KAFKA_SASL_MECHANISM='': must be set with KAFKA_SECURITY_PROTOCOL=SASL_SSL"),
        ({"KAFKA_SECURITY_PROTOCOL": "TLS"}, "KAFKA_SECURITY_PROTOCOL='TLS': Input should be 'PLAINTEXT', 'SSL', "),
        (USER, "KAFKA_SASL_USERNAME='': must be set with KAFKA_SASL_MECHANISM=PLAIN"),
        (USER, "KAFKA_SASL_PASSWORD=(hidden): must be set with KAFKA_SASL_MECHANISM=PLAIN"),
        (
            TLS | {"KAFKA_SASL_USERNAME": "me"},
            "KAFKA_SASL_USERNAME='me': is used only with KAFKA_SASL_MECHANISM=PLAIN or SCRAM-SHA-256 ",
        ),
        ({"KAFKA_SASL_PASSWORD": "hunter2"}, "KAFKA_SASL_PASSWORD=(hidden): is used only with KAFKA_SASL_MECHANISM="),
        ({"KAFKA_SSL_CA_FILE": "FOLDER/ca.pem"}, "ca.pem': is used only with KAFKA_SECURITY_PROTOCOL=SSL or SASL_SSL"),
        (
            TLS | {"KAFKA_SSL_CA_FILE": "FOLDER/none.pem"},
            "none.pem': must be a file that this process can read (No such file or directory)",
        ),
        (TLS | {"KAFKA_SSL_CA_FILE": "FOLDER/me.key"}, "me.key': must be a PEM file of certificates"),
        (TLS | {"KAFKA_SSL_CERT_FILE": "FOLDER/me.crt"}, "KAFKA_SSL_KEY_FILE=None: must be the key of KAFKA_SSL_CERT_FILE"),
        (TLS | {"KAFKA_SSL_KEY_FILE": "FOLDER/me.key"}, "me.key': is used only with KAFKA_SSL_CERT_FILE"),
        (
            TLS | {"KAFKA_SSL_CERT_FILE": "FOLDER/me.crt", "KAFKA_SSL_KEY_FILE": "FOLDER/other.key"},
            "other.key': must be the key of KAFKA_SSL_CERT_FILE, opened by KAFKA_SSL_KEY_PASSWORD if it is encrypted (KEY_",
        ),
        (
            TLS | {"KAFKA_SSL_CERT_FILE": "FOLDER/locked.pem"},
            "KAFKA_SSL_KEY_FILE=None: must be the key of KAFKA_SSL_CERT_FILE, opened by",
        ),
        (TOKEN, "KAFKA_OAUTH_TOKEN_URL='': must be set with KAFKA_SASL_MECHANISM=OAUTHBEARER, or KAFKA_OAUTH_TOKEN_FILE"),
        (
            TOKEN | CLIENT | {"KAFKA_OAUTH_TOKEN_URL": "https://id/token", "KAFKA_OAUTH_TOKEN_FILE": "FOLDER/me.key"},
            "KAFKA_OAUTH_TOKEN_URL='https://id/token': cannot be set beside KAFKA_OAUTH_TOKEN_FILE",
        ),
        (
            TOKEN | {"KAFKA_OAUTH_TOKEN_URL": "https://id/token"},
            "KAFKA_OAUTH_CLIENT_ID='': must be set with KAFKA_OAUTH_TOKEN_URL=https",
        ),
        (
            TOKEN | {"KAFKA_OAUTH_TOKEN_URL": "https://id/token"},
            "KAFKA_OAUTH_CLIENT_SECRET=(hidden): must be set with KAFKA_OAUTH_TOKEN",
        ),
        (TOKEN | {"KAFKA_OAUTH_EXTENSIONS": "team"}, "KAFKA_OAUTH_EXTENSIONS='team': "),
    ],
)
def test_contradictions_about_kafka_are_named(monkeypatch, certificates, variables, message):
    """A required setting is missing, a setting is not used, or a file cannot be read: the message names the variable, and shows no
    secret."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value.replace("FOLDER", str(certificates)))
    with pytest.raises(SettingsError) as wrong:
        load_settings(ENV_FILE)
    assert message in str(wrong.value)
    assert "hunter2" not in str(wrong.value)


@pytest.mark.parametrize(
    "variables",
    [
        TLS,
        TLS | {"KAFKA_SSL_CA_FILE": "FOLDER/ca.pem", "KAFKA_SSL_CERT_FILE": "FOLDER/me.pem"},
        TLS | {"KAFKA_SSL_CERT_FILE": "FOLDER/me.crt", "KAFKA_SSL_KEY_FILE": "FOLDER/me.key"},
        TLS | {"KAFKA_SSL_CERT_FILE": "FOLDER/locked.pem", "KAFKA_SSL_KEY_PASSWORD": "hunter2"},
        USER | {"KAFKA_SASL_USERNAME": "me", "KAFKA_SASL_PASSWORD": "hunter2"},
        TOKEN | CLIENT | {"KAFKA_OAUTH_TOKEN_URL": "https://id.example/realms/a/token", "KAFKA_OAUTH_EXTENSIONS": "a=b,c=d"},
        TOKEN | {"KAFKA_OAUTH_TOKEN_FILE": "FOLDER/me.key"},
    ],
)
def test_every_kind_of_kafka_authentication_is_accepted(monkeypatch, certificates, variables):
    """TLS alone, TLS with a client certificate, whose key may be in another file or encrypted, a user, tokens."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value.replace("FOLDER", str(certificates)))
    assert load_settings(ENV_FILE).kafka_security_protocol == variables["KAFKA_SECURITY_PROTOCOL"]
    assert "hunter2" not in repr(load_settings(ENV_FILE))


@pytest.mark.parametrize(
    "uri",
    [
        "mongodb://127.0.0.1:27017/?directConnection=true",
        "mongodb://a:27017,b:27017/?replicaSet=r",
        "mongodb+srv://me:p%40ss@cluster.example/",  # pragma: allowlist secret
        "mongodb://[::1]:27017",
        "mongodb://%2Ftmp%2Fmongodb-27017.sock",
    ],
)
def test_every_form_of_mongodbs_address_is_accepted(monkeypatch, uri):
    """One host, several, a cluster's name, IPv6 and a socket."""
    monkeypatch.setenv("MONGODB_URI", uri)
    assert load_settings(ENV_FILE).mongodb_uri.get_secret_value() == uri


@pytest.mark.parametrize(
    "uri",
    ["127.0.0.1:27017", "http://db/", "mongodb:/db", "mongodb://", "mongodb://me:hunter@2@db/"],  # pragma: allowlist secret
)
def test_an_invalid_address_of_mongodb_is_refused_without_showing_it(monkeypatch, uri):
    """The message has the right form, and hides the value, which can contain a password."""
    monkeypatch.setenv("MONGODB_URI", uri)
    with pytest.raises(SettingsError, match=r"MONGODB_URI=\(hidden\): must be mongodb://") as wrong:
        load_settings(ENV_FILE)
    assert "hunter" not in str(wrong.value)


@pytest.mark.parametrize("servers", ["127.0.0.1:9092", "a:1,b-c.example:65535", "[::1]:9092"])
def test_every_form_of_kafkas_address_is_accepted(monkeypatch, servers):
    """One broker, several, IPv6."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", servers)
    assert load_settings(ENV_FILE).kafka_bootstrap_servers == servers


@pytest.mark.servers  # a second interpreter loads the code location
def test_a_wrong_model_is_refused_before_any_run(tmp_path):
    """The code location does not load with it, so that the start of Dagster fails instead of each world."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "GEMINI_MODEL": "gemini-9"}
    command = [sys.executable, "-c", "import generia_assets.definitions"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "GEMINI_MODEL='gemini-9': must be one of gemini-2.5-flash" in done.stderr


def test_the_file_also_sets_the_embedded_services(monkeypatch, tmp_path):
    """It can set which mongod and which Kafka are started."""
    monkeypatch.chdir(tmp_path)
    env_file(tmp_path, "MONGOD_BINARY=/nowhere/mongod\nGENERIA_KAFKA_LIBS=/nowhere/libs\n")
    with pytest.raises(MissingServiceError, match="MONGOD_BINARY is '/nowhere/mongod'"):
        find_mongod()
    assert apache_kafka.libs_directory() == Path("/nowhere/libs")


def test_all_wrong_values_are_named_at_once(monkeypatch):
    """One start reports every mistake."""
    monkeypatch.setenv("LLM_CONCURRENCY", "0")
    monkeypatch.setenv("PATIENCE_SECONDS", "soon")
    with pytest.raises(SettingsError, match=r"(?s)LLM_CONCURRENCY.*PATIENCE_SECONDS"):
        load_settings(ENV_FILE)


@pytest.mark.parametrize(
    "line", ["GEMINI_API_KEY=AIzaSecret", "export GEMINI_API_KEY='AIzaSecret'", "GEMINI_API_KEY=${OTHER:-AIzaSecret}"]
)
def test_a_key_in_the_file_is_refused_without_showing_it(tmp_path, line):
    """A key in .env is an error that says where it belongs."""
    with pytest.raises(SettingsError, match=r"GEMINI_API_KEY stands in .*export GEMINI_API_KEY") as refused:
        load_settings(env_file(tmp_path, line + "\n"))
    assert "AIzaSecret" not in str(refused.value)


@pytest.mark.parametrize(
    "line",
    [
        "MONGODB_URI=mongodb://me:hunter2@db/",  # pragma: allowlist secret
        "MONGODB_URI=${MONGODB_URI:-mongodb+srv://me:hunter2@db/}",  # pragma: allowlist secret
        "GEMINI_BASE_URL=https://me:hunter2@gateway/",  # pragma: allowlist secret
    ],
)
def test_a_password_in_the_file_is_refused_without_showing_it(tmp_path, line):
    """An address with a password is a secret like a key; without a password it may be in the file."""
    with pytest.raises(SettingsError, match=r"password for \w+ stands in .*export \w+=…") as refused:
        load_settings(env_file(tmp_path, line + "\n"))
    assert "hunter2" not in str(refused.value)
    assert load_settings(env_file(tmp_path, "MONGODB_URI=mongodb://me@db/\n")).mongodb_uri.get_secret_value() == "mongodb://me@db/"


def test_secrets_and_passwords_are_in_no_text_of_the_settings(monkeypatch):
    """Neither ``repr`` nor JSON nor a message about another setting shows the key or MongoDB's password."""
    monkeypatch.setenv("GEMINI_API_KEY", "AIzaSecret")
    monkeypatch.setenv("MONGODB_URI", "mongodb://me:hunter2@db/")  # pragma: allowlist secret
    settings = load_settings(ENV_FILE)
    assert settings.gemini_api_key == SecretStr("AIzaSecret")
    monkeypatch.setenv("LLM_CONCURRENCY", "0")
    with pytest.raises(SettingsError) as wrong:
        load_settings(ENV_FILE)
    for text in (repr(settings), settings.model_dump_json(), str(wrong.value), repr(wrong.value.__cause__)):
        assert "AIzaSecret" not in text
        assert "hunter2" not in text


COSTLY = {
    "resources.gateway.concurrency": {"dagster", "google.genai"},
    "resources.gateway.api_gateway": {"dagster", "google.genai"},
    "resources.gemini.client": {"google.genai", "dagster"},
    "generia_assets.assets.providers": {"google.genai", "dagster"},
    "generia_assets.definitions": {"google.genai", "confluent_kafka", "aiohttp"},
}
"""What these modules do not import; each imports those before it, or as little."""
IMPORTS = """
import importlib, json, sys
found = {}
for module, costly in json.loads(sys.argv[1]).items():
    importlib.import_module(module)
    found[module] = [one for one in costly if one in sys.modules]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def imported():
    """Which of these modules a fresh interpreter has after importing the others one by one."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", IMPORTS, json.dumps({module: sorted(costly) for module, costly in COSTLY.items()})]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("module", COSTLY)
@pytest.mark.servers  # a second interpreter loads the code location
def test_an_import_loads_no_unnecessary_modules(module, imported):
    """It does not load modules that only a working process needs."""
    assert imported[module] == []


def test_an_error_of_kafkas_settings_does_not_quote_a_password() -> None:
    """Also if the class is created without ``load_settings``, which hides passwords."""
    with pytest.raises(ValidationError) as raised:
        KafkaSettings(kafka_sasl_password=SecretStr("hunter2-secret"))
    with pytest.raises(ValidationError) as of_text:
        KafkaSettings.model_validate({"kafka_sasl_password": "hunter2-secret"})
    assert "hunter2" not in str(raised.value) + str(of_text.value)
