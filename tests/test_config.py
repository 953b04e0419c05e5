import os
from pathlib import Path

import pytest

from app.config import (
    Secret,
    Settings,
    config_path,
    example,
    find_secret,
    known_keys,
    load_settings,
    sections,
    show,
)
from app.core.errors import ConfigError


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_load_without_file_gives_defaults(tmp_path: Path) -> None:
    loaded = load_settings({"XDG_CONFIG_HOME": str(tmp_path), "HOME": str(tmp_path)})
    assert loaded.settings == Settings()
    assert loaded.file is None


def test_load_reads_every_kind_of_value(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        '[ui]\ntheme = "k8tre-light"\nmouse = false\nfavourites = ["a", "b"]\n'
        '[flows]\nkeep = 7\n[keys]\n"flows.follow" = "f"\n',
    )
    settings = load_settings({}, path).settings
    assert settings.ui.theme == "k8tre-light"
    assert settings.ui.mouse is False
    assert settings.ui.favourites == ("a", "b")
    assert settings.flows.keep == 7
    assert settings.keys == {"flows.follow": "f"}


def test_unknown_key_names_line_and_nearest(tmp_path: Path) -> None:
    path = write(tmp_path, '# a comment\n[ui]\ntheme = "x"\nfavorites = []\n')
    with pytest.raises(ConfigError) as caught:
        load_settings({}, path)
    assert caught.value.line == 4
    assert caught.value.key == "ui.favorites"
    assert caught.value.hint == "did you mean `ui.favourites`?"
    assert str(caught.value).startswith(f"{path}:4: ")


@pytest.mark.parametrize("text", ["[uii]\nx = 1\n", "theme = 1\n"])
def test_unknown_section_is_an_error_with_its_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings({}, write(tmp_path, text))
    assert caught.value.line in (1, 2)


def test_wrong_type_names_key_and_line(tmp_path: Path) -> None:
    path = write(tmp_path, '[flows]\n\nkeep = "many"\n')
    with pytest.raises(ConfigError) as caught:
        load_settings({}, path)
    assert caught.value.key == "flows.keep"
    assert caught.value.line == 3


def test_broken_toml_names_its_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings({}, write(tmp_path, "[ui]\ntheme = \n"))
    assert caught.value.line == 2


def test_named_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        load_settings({"K8TRE_TUI_CONFIG": str(tmp_path / "none.toml")})


def test_environment_wins_over_the_file_and_says_so(tmp_path: Path) -> None:
    path = write(tmp_path, "[flows]\nkeep = 7\n[ui]\nmouse = true\n")
    environ = {
        "K8TRE_TUI_FLOWS_KEEP": "9",
        "K8TRE_TUI_UI_MOUSE": "false",
        "K8TRE_TUI_UI_FAVOURITES": "a,b",
    }
    loaded = load_settings(environ, path)
    assert loaded.settings.flows.keep == 9
    assert loaded.settings.ui.mouse is False
    assert loaded.settings.ui.favourites == ("a", "b")
    assert loaded.origins["flows.keep"] == "K8TRE_TUI_FLOWS_KEEP"


@pytest.mark.parametrize("text", ["many", "-", ""])
def test_wrong_environment_value_is_an_error(text: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings({"K8TRE_TUI_FLOWS_KEEP": text}, write(tmp_path, ""))
    assert "K8TRE_TUI_FLOWS_KEEP" in str(caught.value)


def test_show_gives_every_key_with_its_origin(tmp_path: Path) -> None:
    path = write(tmp_path, "[flows]\nkeep = 7\n")
    rows = {key: (value, origin) for key, value, origin in show(load_settings({}, path))}
    assert set(known_keys()) <= set(rows)
    assert rows["flows.keep"] == (7, f"{path}:2")
    assert rows["ui.mouse"] == (True, "default")


def test_example_file_in_the_repository_is_the_declaration() -> None:
    assert Path("config.example.toml").read_text(encoding="utf-8") == example()


def test_example_with_every_key_uncommented_is_the_default(tmp_path: Path) -> None:
    lines = example().splitlines()
    text = "\n".join(line[2:] if " = " in line else line for line in lines)
    assert load_settings({}, write(tmp_path, text)).settings == Settings()


def test_config_path_follows_the_environment(tmp_path: Path) -> None:
    assert config_path({"K8TRE_TUI_CONFIG": "/x/y.toml"}) == Path("/x/y.toml")
    assert config_path({}).name == "config.toml"


def test_secret_shows_nowhere_but_in_reveal() -> None:
    secret = find_secret({"TOKEN": "hunter2"}, "TOKEN")
    assert secret is not None
    assert secret.reveal() == "hunter2"
    for shown in (repr(secret), str(secret), f"{secret}", f"{secret!r:>3}", str([secret])):
        assert "hunter2" not in shown


def test_secret_file_wins_and_must_be_private(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("from-file\n", encoding="utf-8")
    path.chmod(0o600)
    environ = {"TOKEN_FILE": str(path), "TOKEN": "from-environment"}
    secret = find_secret(environ, "TOKEN")
    assert secret is not None
    assert secret.reveal() == "from-file"
    path.chmod(0o640)
    with pytest.raises(ConfigError) as caught:
        find_secret(environ, "TOKEN")
    assert "from-file" not in str(caught.value)


def test_missing_secret_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        find_secret({"TOKEN_FILE": str(tmp_path / "none")}, "TOKEN")


def test_first_secret_that_is_set_is_taken() -> None:
    secret = find_secret({"B": "b"}, "A", "B")
    assert secret is not None
    assert secret.origin == "B"
    assert find_secret({}, "A") is None


def test_secret_is_not_pickled() -> None:
    import pickle

    with pytest.raises(TypeError):
        pickle.dumps(Secret("x", "y"))


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        ("[flows]\nkeep = -5", "flows.keep", "-5 is not from 1 to 10000000"),
        ("[flows]\nhistory_days = 0", "flows.history_days", "0 is not from 1"),
        ('[ui]\nglyphs = "emoji"', "ui.glyphs", "`emoji` is none of auto, unicode, ascii"),
        ('[bot]\nlevel = "all"', "bot.level", "none of minimal, full"),
        ('[repo]\ngithub = "x"', "repo.github", "not of the form OWNER/NAME"),
        ('[repo]\napi = "ftp://x"', "repo.api", "https://HOST"),
        ('[flows]\nclickhouse = "ch:8443"', "flows.clickhouse", "https://HOST"),
        ('[cluster]\ncilium_version = "latest"', "cluster.cilium_version", "1.19.3"),
        ('[cluster]\ncontext = "a\\u001b[2J"', "cluster.context", "control characters"),
        ('[ui]\nfavourites = ["a\\nb"]', "ui.favourites", "control characters"),
    ],
)
def test_value_out_of_bounds_names_key_line_and_what_it_may_be(
    tmp_path: Path, text: str, key: str, words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings({}, write(tmp_path, text))
    assert (caught.value.key, caught.value.line) == (key, 2)
    assert words in str(caught.value)


def test_every_default_is_within_its_bound() -> None:
    for _, _, options in sections():
        for option in options:
            assert not option.metadata["bound"].objection(option.default)


@pytest.mark.parametrize(
    "text", ["x = " + "[" * 20_000, "x = " + "9" * 5000, "x = 2026-99-99", "#" * ((1 << 20) + 1)]
)
def test_toml_without_bounds_is_an_error_and_no_crash(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="TOML"):
        load_settings({}, write(tmp_path, text))


def test_show_hides_credentials_in_addresses(tmp_path: Path) -> None:
    lines = (
        '[flows]\nclickhouse = "https://u:hunter2@ch:8443"',
        '[repo]\napi = "https://t:x@a.b/c@d"',
    )
    loaded = load_settings({}, write(tmp_path, "\n".join(lines)))
    shown = {key: value for key, value, _ in show(loaded)}
    assert shown["flows.clickhouse"] == "https://***@ch:8443"
    assert shown["repo.api"] == "https://***@a.b/c@d"


def test_secret_of_a_mounted_folder_when_its_group_reads_it_then_taken_and_said(
    tmp_path: Path,
) -> None:
    """As the kubelet mounts a Secret: `token` -> `..data/token`, `..data` -> its folder."""
    inner = tmp_path / "..2026_11_29"
    inner.mkdir()
    (inner / "token").write_text("hunter2")
    (tmp_path / "..data").symlink_to(inner.name)
    (tmp_path / "token").symlink_to("..data/token")
    environ = {"TOKEN_FILE": str(tmp_path / "token")}
    (inner / "token").chmod(0o440)
    secret = find_secret(environ, "TOKEN")
    assert secret is not None
    assert secret.reveal() == "hunter2"
    assert secret.origin == "TOKEN_FILE, a mounted secret that its group can read"
    (inner / "token").chmod(0o444)
    with pytest.raises(ConfigError) as caught:
        find_secret(environ, "TOKEN")
    assert "defaultMode: 0440" in caught.value.hint
    (inner / "token").chmod(0o440)
    with pytest.raises(ConfigError, match="can be read by others"):
        find_secret({"TOKEN_FILE": str(inner / "token")}, "TOKEN")


def test_secret_file_when_it_is_a_pipe_then_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "token", 0o600)
    with pytest.raises(ConfigError, match="no regular file"):
        find_secret({"TOKEN_FILE": str(tmp_path / "token")}, "TOKEN")
