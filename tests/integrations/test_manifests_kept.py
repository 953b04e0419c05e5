"""What is kept of a reading: the same as reading, whatever changed, and whatever lies there."""

import os
import random
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from integrations.manifests import kept, reader
from tests.integrations.conftest import told

HEAD = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
POLICY = """\
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: %s, namespace: lung}
spec: {endpointSelector: {}}
"""
TEXTS = {
    "app/base/kustomization.yaml": [
        HEAD + "resources: [web.yaml]\n",
        HEAD + "resources: [web.yaml, other.yaml]\nnamePrefix: a-\n",
        HEAD + "resources: [web.yaml]\nconfigMapGenerator: [{name: c, files: [settings.conf]}]\n",
        HEAD + "resources: [web.yaml]\nsecretGenerator: [{name: c, literals: [a=hidden]}]\n",
        HEAD + "resources: [web.yaml]\nhelmCharts: [{name: hub, releaseName: hub}]\n",
        "resources: [\n",
    ],
    "app/base/web.yaml": [
        POLICY % "web",
        "# moved\n\n" + POLICY % "web",
        POLICY % "shop" + "---\n" + POLICY % "web",
        POLICY % "web" + "---\n: [\n",
        "kind: Secret\napiVersion: v1\nmetadata: {name: s}\nstringData: {a: hidden}\n",
        POLICY % "${NAME}",
        "a: 1\n",
    ],
    "app/base/other.yaml": [POLICY % "other", "{}", ""],
    "app/base/settings.conf": ["a=1\n", "a=2\n"],
    "app/base/charts/hub/Chart.yaml": ["name: hub\nversion: 1.0.0\n"],
    "app/envs/dev/kustomization.yaml": [
        HEAD + "resources: [../../base]\npatches: [{path: patch.yaml}]\n",
        HEAD + "resources: [../../base, ../../missing]\nnamespace: dev\n",
    ],
    "app/envs/dev/patch.yaml": [
        POLICY.replace("{endpointSelector: {}}", "{endpointSelector: {matchLabels: {a: b}}}")
        % "web",
        "- op: remove\n  path: /spec\n",
        "\tx",
    ],
    "app/envs/prd/kustomization.yml": [HEAD + "bases: [../../base]\n"],
    "dump.json": ['{"apiVersion": "v1", "kind": "List", "items": []}', "{", '{"a": 1e999}'],
}


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(seed=st.integers(0, 1 << 32))
def test_load_when_files_change_then_as_read_anew(
    seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("tree")
    dice = random.Random(seed)  # noqa: S311  # test data
    cache = root / ".cache"
    for _ in range(4):
        for name in dice.sample(list(TEXTS), dice.randint(1, len(TEXTS))):
            file = root / name
            file.parent.mkdir(parents=True, exist_ok=True)
            if dice.random() < 0.2:
                file.unlink(missing_ok=True)
            else:
                file.write_text(dice.choice(TEXTS[name]))
        (root / "app" / "keep.yaml").parent.mkdir(exist_ok=True)
        (root / "app" / "keep.yaml").write_text(POLICY % "keep")
        sets = dice.choice(({}, {"NAME": "x"}))
        plain = reader.load([str(root)], sets)
        assert told(reader.load([str(root)], sets, cache=cache)) == told(plain)
        assert told(reader.load([str(root)], sets, cache=cache)) == told(plain)
    assert not any(b"hidden" in one.read_bytes() for one in cache.glob("*"))


def _read(tmp_path: Path, cache: Path) -> tuple[str, ...]:
    (tmp_path / "web.yaml").write_text(POLICY % "web")
    loaded = reader.load([str(tmp_path / "web.yaml")], cache=cache)
    return tuple(one.ref.name for one in loaded.manifests)


def test_pack_when_written_then_for_its_owner_only(tmp_path: Path, kept_folder: Path) -> None:
    _read(tmp_path, kept_folder)
    (pack,) = kept_folder.iterdir()
    assert stat.S_IMODE(pack.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept_folder.stat().st_mode) == 0o700


def test_pack_when_it_is_used_then_nothing_is_parsed(
    tmp_path: Path, kept_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _read(tmp_path, kept_folder)
    monkeypatch.setattr("integrations.manifests.kept_parts.read_content", None)
    assert _read(tmp_path, kept_folder) == ("web",)


@pytest.mark.parametrize("place", [0, 25, 45, 61, 90, -1])
def test_pack_when_a_byte_is_wrong_then_ignored_and_mended(
    place: int, tmp_path: Path, kept_folder: Path
) -> None:
    _read(tmp_path, kept_folder)
    (pack,) = kept_folder.iterdir()
    whole = pack.read_bytes()
    broken = bytearray(whole)
    broken[place] ^= 0x55
    pack.write_bytes(broken)
    assert _read(tmp_path, kept_folder) == ("web",)
    assert pack.read_bytes() == whole


@pytest.mark.parametrize("content", [b"", b"x", b"k8tre-tui reading 1\n" * 40])
def test_pack_when_it_is_something_else_then_ignored(
    content: bytes, tmp_path: Path, kept_folder: Path
) -> None:
    _read(tmp_path, kept_folder)
    (pack,) = kept_folder.iterdir()
    pack.write_bytes(content)
    assert _read(tmp_path, kept_folder) == ("web",)


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX")
def test_pack_when_others_may_read_it_or_it_is_a_link_then_ignored(
    tmp_path: Path, kept_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _read(tmp_path, kept_folder)
    (pack,) = kept_folder.iterdir()
    monkeypatch.setattr(kept, "_write", lambda *_: None)
    pack.chmod(0o644)
    assert kept._content(pack, 1 << 20) == b""
    pack.chmod(0o600)
    link = kept_folder / "link.pack"
    link.symlink_to(pack)
    assert kept._content(link, 1 << 20) == b""
    assert kept._content(pack, 1 << 20)


def test_pack_when_others_can_enter_the_folder_then_nothing_is_written(
    tmp_path: Path, kept_folder: Path
) -> None:
    kept_folder.mkdir(parents=True, mode=0o755)
    kept_folder.chmod(0o755)
    assert _read(tmp_path, kept_folder) == ("web",)
    assert not list(kept_folder.iterdir())


def test_pack_when_the_folder_cannot_be_made_then_read_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert _read(tmp_path, tmp_path / "file" / "cache") == ("web",)


def test_packs_when_there_are_too_many_then_the_oldest_go(
    tmp_path: Path, kept_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "PACKS", 2)
    for number in range(4):
        folder = tmp_path / str(number)
        folder.mkdir()
        _read(folder, kept_folder)
        for file in kept_folder.iterdir():
            os.utime(file, ns=(0, file.stat().st_mtime_ns - 10**9))
    assert len(list(kept_folder.iterdir())) == 2


def test_pack_when_files_are_gone_then_what_they_gave_is_too(
    tmp_path: Path, kept_folder: Path
) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text(POLICY % name)
    reader.load([str(tmp_path)], cache=kept_folder)
    (pack,) = kept_folder.iterdir()
    before = pack.stat().st_size
    (tmp_path / "b.yaml").unlink()
    reader.load([str(tmp_path)], cache=kept_folder)
    assert pack.stat().st_size < before
