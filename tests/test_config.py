"""Settings from the environment."""

from ipaddress import ip_network
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from connector.config import Config
from connector.errors import ConfigError

KEY = Fernet.generate_key().decode()


def test_defaults() -> None:
    config = Config.from_env({})
    assert config == Config()
    assert (config.database_url, config.port, config.log_format) == ("sqlite:///connector.db", 8080, "text")
    assert config.beside("key") == Path("connector.db.key")


def test_everything_that_can_be_said(tmp_path: Path) -> None:
    config = Config.from_env(
        {
            "CONNECTOR_DATABASE_URL": f"sqlite:///{tmp_path}/a.db",
            "CONNECTOR_SECRET_KEY": f"{KEY}, {KEY},",
            "CONNECTOR_PUBLIC_URL": "https://calls.example.com/",
            "CONNECTOR_HOST": "0.0.0.0",
            "CONNECTOR_PORT": "9000",
            "CONNECTOR_LOG_FORMAT": "json",
            "CONNECTOR_TRUSTED_PROXIES": "10.0.0.0/8, 192.0.2.1",
        }
    )
    assert config == Config(
        database_url=f"sqlite:///{tmp_path}/a.db",
        secret_key=f"{KEY},{KEY}",
        public_url="https://calls.example.com",
        host="0.0.0.0",
        port=9000,
        log_format="json",
        trusted_proxies=(ip_network("10.0.0.0/8"), ip_network("192.0.2.1/32")),
    )
    assert config.beside("lock") == tmp_path / "a.db.lock"
    assert config.home_url == "http://127.0.0.1:9000"


def test_overrides_win_and_empty_variables_count_as_unset() -> None:
    config = Config.from_env({"CONNECTOR_PORT": "9000", "CONNECTOR_HOST": " "}, port=9001, host=None)
    assert (config.port, config.host) == (9001, "127.0.0.1")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DATABASE_URL", "mysql://db/x"),
        ("DATABASE_URL", "connector.db"),
        ("DATABASE_URL", "sqlite://"),
        ("DATABASE_URL", "sqlite:///:memory:"),
        ("DATABASE_URL", "sqlite:////no/such/folder/a.db"),
        ("SECRET_KEY", "not-a-key"),
        ("PUBLIC_URL", "calls.example.com"),
        ("PUBLIC_URL", "https://user:word@calls.example.com"),
        ("PORT", "eighty"),
        ("PORT", "70000"),
        ("LOG_FORMAT", "xml"),
        ("TRUSTED_PROXIES", "10.0.0.0/99"),
    ],
)
def test_a_bad_value_is_one_line_that_names_the_variable(variable: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"^CONNECTOR_{variable}: ") as raised:
        Config.from_env({f"CONNECTOR_{variable}": value})
    assert "\n" not in raised.value.message


def test_a_bad_key_is_not_repeated() -> None:
    with pytest.raises(ConfigError) as raised:
        Config.from_env({"CONNECTOR_SECRET_KEY": f"{KEY},oops-{KEY}"})
    assert KEY not in raised.value.message
    assert "key 2 of 2" in raised.value.message


def test_repr_hides_secrets() -> None:
    config = Config.from_env({"CONNECTOR_DATABASE_URL": "postgresql://u:hunter2@db/x", "CONNECTOR_SECRET_KEY": KEY})
    assert KEY not in repr(config)
    assert "hunter2" not in repr(config)
    assert config.beside("key") is None
