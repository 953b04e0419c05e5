import asyncio
import gzip
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.core.errors import BadInput, SourceUnavailable
from app.core.model.provenance import Manifest, ObjectRef
from app.core.model.unread import unread
from app.core.text import is_clean
from integrations.manifests.reader import Loaded, ManifestReader, load

POLICY = """\
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata:
  name: {name}
  namespace: lung
spec:
  endpointSelector: {{}}
  egress:
  - toEntities: [kube-apiserver]
  - toFQDNs:
    - matchName: pypi.org
"""


def _write(root: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def _load(root: Path, files: dict[str, str | bytes], **sets: str) -> Loaded:
    return load([str(_write(root, files))], sets)


def _names(loaded: Loaded) -> list[str]:
    return [manifest.ref.name for manifest in loaded.manifests]


def _texts(loaded: Loaded) -> str:
    return "\n".join(str(notice) for notice in loaded.notices)


def _only(loaded: Loaded) -> Manifest:
    (manifest,) = loaded.manifests
    return manifest


def _policy(name: str = "web") -> str:
    return POLICY.format(name=name)


def _pod(name: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "lung"}, "spec": {}}


def test_load_when_policy_file_then_ref_file_and_every_line(tmp_path: Path) -> None:
    manifest = _only(_load(tmp_path, {"web.yaml": _policy()}))
    assert manifest.ref == ObjectRef("CiliumNetworkPolicy", "lung", "web")
    assert manifest.file == str(tmp_path / "web.yaml")
    assert manifest.line_of("") == 1
    assert manifest.line_of("spec.egress[1]") == 10
    assert manifest.line_of("spec.egress[1].toFQDNs[0].matchName") == 11


def test_load_when_file_is_named_then_any_suffix_will_do(tmp_path: Path) -> None:
    path = _write(tmp_path, {"dump.txt": _policy()}) / "dump.txt"
    assert _names(load([str(path)])) == ["web"]


def test_load_when_same_file_is_reached_twice_then_read_once(tmp_path: Path) -> None:
    path = _write(tmp_path, {"web.yaml": _policy()})
    assert _names(load([str(path), str(path / "web.yaml")])) == ["web"]


def test_load_when_path_is_missing_then_bad_input() -> None:
    with pytest.raises(BadInput, match="no such file"):
        load(["/no/such/place"])


def test_load_when_gzip_then_unpacked(tmp_path: Path) -> None:
    loaded = _load(tmp_path, {"a.yaml.gz": gzip.compress(_policy().encode())})
    assert _names(loaded) == ["web"]


def test_load_when_gzip_is_cut_then_notice_and_the_rest(tmp_path: Path) -> None:
    packed = gzip.compress(_policy().encode())[:-12]
    loaded = _load(tmp_path, {"a.yaml.gz": packed, "b.yaml": _policy()})
    assert _names(loaded) == ["web"]
    assert "a.yaml.gz: not read: cut off" in _texts(loaded)


def test_load_when_one_document_is_broken_then_line_and_the_others(tmp_path: Path) -> None:
    text = f"{_policy('one')}---\nkind: Pod\nspec: [\n---\n{_policy('two')}"
    loaded = _load(tmp_path, {"a.yaml": text})
    assert _names(loaded) == ["one", "two"]
    (notice,) = loaded.notices
    assert (notice.line, notice.severity) == (15, "error")
    assert loaded.skipped == {"unreadable": 1}


def test_load_when_kind_list_then_items_with_own_lines(tmp_path: Path) -> None:
    items = "".join(
        "- " + _policy(name).replace("\n", "\n  ").rstrip() + "\n" for name in ("one", "two")
    )
    loaded = _load(tmp_path, {"a.yaml": f"apiVersion: v1\nkind: List\nitems:\n{items}"})
    assert _names(loaded) == ["one", "two"]
    assert loaded.manifests[1].line_of("spec.egress[0]") == 4 + 11 + 8


def test_load_when_json_list_then_lines_of_policies(tmp_path: Path) -> None:
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "web", "namespace": "lung"},
        "spec": {"podSelector": {}, "ingress": [{"from": []}]},
    }
    pod = {"apiVersion": "v1", "kind": "Pod", **_pod("a")}
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": [pod, policy]}, indent=1)
    loaded = _load(tmp_path, {"a.json": text})
    manifest = loaded.manifests[1]
    line = text.splitlines().index('    "ingress": [') + 1
    assert manifest.line_of("spec.ingress") == line
    assert manifest.body == policy


def test_load_when_typed_json_list_then_items_get_the_kind(tmp_path: Path) -> None:
    text = json.dumps({"kind": "PodList", "apiVersion": "v1", "items": [_pod("a"), _pod("b")]})
    assert [str(m.ref) for m in _load(tmp_path, {"pods.json": text}).manifests] == [
        "Pod/lung/a",
        "Pod/lung/b",
    ]


POD_A = '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"}}'
POD_B = '{\n"apiVersion":"v1","kind":"Pod","metadata":{"name":"b"}}'


@pytest.mark.parametrize("text", [f"{POD_A}\n{POD_B}\n", f"[{POD_A},\n{POD_B}]"])
def test_load_when_json_objects_in_a_row_then_all_of_them(tmp_path: Path, text: str) -> None:
    loaded = _load(tmp_path, {"a.json": text})
    assert [(m.ref.name, m.line_of("")) for m in loaded.manifests] == [("a", 1), ("b", 2)]


def test_load_when_json_is_broken_then_notice_with_line(tmp_path: Path) -> None:
    loaded = _load(tmp_path, {"a.json": '{"kind": "Pod",\n"spec": }', "b.yaml": _policy()})
    assert _names(loaded) == ["web"]
    assert "a.json:2: not JSON" in _texts(loaded)


def test_load_when_flow_style_yaml_then_read(tmp_path: Path) -> None:
    loaded = _load(tmp_path, {"a.yaml": "{apiVersion: v1, kind: Pod, metadata: {name: a}}\n"})
    assert _names(loaded) == ["a"]


def test_load_when_json_repeats_a_key_in_a_policy_then_refused(tmp_path: Path) -> None:
    text = (
        '{"apiVersion":"cilium.io/v2","kind":"CiliumNetworkPolicy","metadata":{"name":"a"},'
        '"spec":{"egress":[],\n"egress":[{}]}}'
    )
    loaded = _load(tmp_path, {"a.json": text})
    assert not loaded.manifests
    assert "a.json:2: key `egress` stands twice (at spec)" in _texts(loaded)
    assert list(loaded.failed) == [str(tmp_path)]


def test_load_when_placeholder_has_a_value_then_filled(tmp_path: Path) -> None:
    text = _policy().replace("pypi.org", "hub.${DOMAIN}")
    manifest = _only(_load(tmp_path, {"a.yaml": text}, DOMAIN="tre.example.org"))
    assert manifest.body["spec"]["egress"][1]["toFQDNs"] == [{"matchName": "hub.tre.example.org"}]


def test_load_when_json_has_placeholders_then_filled_in_every_kind(tmp_path: Path) -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "labels": {"${K}": "${V}"}}}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "${V}"}}
    items = {"apiVersion": "v1", "kind": "List", "items": [pod, service]}
    loaded = _load(tmp_path, {"a.json": json.dumps(items)}, K="app", V="web")
    assert loaded.manifests[0].body["metadata"]["labels"] == {"app": "web"}
    assert loaded.manifests[1].ref.name == "web"


def test_load_when_json_policy_holds_what_yaml_cannot_then_read_without_lines(
    tmp_path: Path,
) -> None:
    text = (
        '{"apiVersion":"cilium.io/v2","kind":"CiliumNetworkPolicy","metadata":{"name":"a"},'
        '"spec":{"description":"\\ud83d\\ude00"}}'
    )
    manifest = _only(_load(tmp_path, {"a.json": text}))
    assert manifest.body["spec"]["description"] == "\U0001f600"


def test_load_when_placeholders_have_no_value_then_kept_with_one_notice(tmp_path: Path) -> None:
    text = _policy().replace("pypi.org", "hub.${DOMAIN}.${ZONE}")
    loaded = _load(tmp_path, {"a.yaml": text, "b.yaml": text.replace("web", "api")})
    assert loaded.manifests[0].body["spec"]["egress"][1]["toFQDNs"][0]["matchName"] == (
        "hub.${DOMAIN}.${ZONE}"
    )
    (notice,) = loaded.notices
    assert "${DOMAIN}, ${ZONE} (--set DOMAIN=VALUE)" in notice.text


def test_load_when_helm_template_then_no_object_and_a_policy_in_it_is_said(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "broken.yaml": "kind: Pod\n{{- if .Values.x }}\nmetadata: {}\n{{- end }}\n",
        "parses.yaml": _policy().replace("pypi.org", '"{{ .Values.host }}"'),
        "chart/Chart.yaml": "name: c\nversion: 1\n",
        "chart/templates/plain.yaml": _policy(),
        "chart/templates/other.yaml": "kind: Deployment\n",
    }
    loaded = _load(tmp_path, files)
    assert not loaded.manifests
    assert loaded.skipped == {"template": 3, "not an object": 1, "unreadable": 2}
    assert "Helm templates are not read" in _texts(loaded)
    assert {notice.file for notice in unread(loaded.notices)} == {
        str(tmp_path / "parses.yaml"),
        str(tmp_path / "chart/templates/plain.yaml"),
    }


@pytest.mark.parametrize(
    "where",
    [
        "# labels are {{ team }}",
        "  annotations: {note: '{{ team }}'}",
        "  annotations: {note: '{{ team }}'}\n  managedFields: [{manager: '{{x}}'}]",
    ],
)
def test_load_when_braces_stand_where_nothing_is_decided_then_read(
    tmp_path: Path, where: str
) -> None:
    text = _policy().replace("  namespace: lung\n", f"  namespace: lung\n{where}\n")
    loaded = _load(tmp_path, {"a.yaml": text})
    assert _names(loaded) == ["web"]
    assert not loaded.notices


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_load_when_one_item_of_a_list_is_a_template_then_the_others_are_read(
    tmp_path: Path, form: str
) -> None:
    dash = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "dash"}}
    policy: Any = yaml.safe_load(_policy())
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "{{ x }}", "namespace": "lung"}}
    items = [{**dash, "data": {"x": "{{instance}}"}}, policy, pod]
    document = {"apiVersion": "v1", "kind": "List", "items": items}
    text = json.dumps(document) if form == "json" else yaml.safe_dump(document)
    loaded = _load(tmp_path, {f"a.{form}": text})
    assert _names(loaded) == ["dash", "web"]
    (notice,) = unread(loaded.notices)
    assert notice.ref == ObjectRef("Pod", "lung", "{{ x }}")


def test_load_when_one_item_of_a_list_is_no_yaml_then_the_others_are_read(tmp_path: Path) -> None:
    items = [_policy("one"), "kind: Pod\n  x: [\n", _policy("two")]
    text = "".join("- " + item.replace("\n", "\n  ").rstrip() + "\n" for item in items)
    loaded = _load(tmp_path, {"a.yaml": f"apiVersion: v1\nitems:\n{text}kind: List\n"})
    assert _names(loaded) == ["one", "two"]
    assert loaded.manifests[1].line_of("spec.egress[0]") == 2 + 11 + 2 + 9
    assert [notice.severity for notice in unread(loaded.notices)] == ["error"]


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_load_when_a_typed_list_then_items_take_its_kind(tmp_path: Path, form: str) -> None:
    document = {"apiVersion": "v1", "kind": "PodList", "items": [_pod("a"), _pod("b")]}
    text = json.dumps(document) if form == "json" else yaml.safe_dump(document)
    loaded = _load(tmp_path, {f"a.{form}": text})
    assert [manifest.ref for manifest in loaded.manifests] == [
        ObjectRef("Pod", "lung", name) for name in ("a", "b")
    ]


def test_load_when_an_item_is_no_object_then_said(tmp_path: Path) -> None:
    loaded = _load(tmp_path, {"a.yaml": "apiVersion: v1\nkind: List\nitems:\n- 1\n- ~\n"})
    assert len(unread(loaded.notices)) == 2


def test_load_when_json_lines_have_a_broken_one_then_the_others_are_read(tmp_path: Path) -> None:
    good = json.dumps({"apiVersion": "v1", "kind": "Pod", **_pod("a")})
    loaded = _load(tmp_path, {"a.json": f"{good}\n{good[:-9]}\n{good.replace('a', 'b')}\n"})
    assert len(loaded.manifests) == 1
    assert unread(loaded.notices)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32"])
def test_load_when_in_another_encoding_then_read(tmp_path: Path, encoding: str) -> None:
    loaded = _load(tmp_path, {"a.yaml": _policy().encode(encoding)})
    assert _names(loaded) == ["web"]


def test_load_when_a_pipe_is_named_then_read_as_a_file(tmp_path: Path) -> None:
    pipe = tmp_path / "objects"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(gzip.compress(_policy().encode())))
    writer.start()
    assert _names(load([str(pipe)])) == ["web"]
    writer.join()


def test_load_when_a_pipe_stands_in_a_folder_then_said_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.yaml")
    loaded = _load(tmp_path, {"b.yaml": _policy()})
    assert _names(loaded) == ["web"]
    assert "a.yaml: not read: no regular file" in _texts(loaded)


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "loop"])
def test_load_when_a_path_leads_nowhere_then_bad_input(tmp_path: Path, name: str) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(BadInput):
        load([str(tmp_path / name)])


async def test_reader_when_nothing_could_be_read_then_the_source_failed(tmp_path: Path) -> None:
    _write(tmp_path, {"a.yaml": _policy().encode()[:60] + b"\\0", "b.yaml.gz": b"\x1f\x8b\x08"})
    with pytest.raises(SourceUnavailable) as raised:
        await ManifestReader([str(tmp_path)]).read()
    assert raised.value.exit_code == 3
    assert "a.yaml" in raised.value.message


async def test_reader_when_something_else_could_be_read_then_the_rest_is_said(
    tmp_path: Path,
) -> None:
    _write(tmp_path, {"a.yaml": _policy(), "b.yaml.gz": b"\x1f\x8b\x08"})
    picture = await ManifestReader([str(tmp_path)]).read()
    assert [notice.file for notice in unread(picture.notices)] == [str(tmp_path / "b.yaml.gz")]


def test_load_when_application_set_has_templates_in_strings_then_kept(tmp_path: Path) -> None:
    text = 'apiVersion: argoproj.io/v1alpha1\nkind: ApplicationSet\nmetadata: {name: "a{{b}}"}\n'
    assert _names(_load(tmp_path, {"a.yaml": text})) == ["a{{b}}"]


def test_load_when_no_namespace_then_default_unless_cluster_scoped(tmp_path: Path) -> None:
    text = (
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n---\n"
        "apiVersion: v1\nkind: Node\nmetadata: {name: b, namespace: odd}\n"
    )
    pod, node = _load(tmp_path, {"a.yaml": text}).manifests
    assert str(pod.ref) == "Pod/default/a"
    assert pod.body["metadata"]["namespace"] == "default"
    assert str(node.ref) == "Node//b"


def test_load_when_object_has_no_name_then_reported(tmp_path: Path) -> None:
    loaded = _load(tmp_path, {"a.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {}\n"})
    assert "a.yaml:1: Pod without a name (at metadata.name)" in _texts(loaded)


def test_load_when_text_is_hostile_then_shown_harmless_and_new_lines_kept(tmp_path: Path) -> None:
    text = (
        'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: "a\\e[2J\\nb"}\n'
        'data: {x: "1\\n\\t2\\u202e"}\n'
    )
    manifest = _only(_load(tmp_path, {"a.yaml": text}))
    assert manifest.ref.name == "a␛[2J␊b"
    assert manifest.body["data"]["x"] == "1\n\t2\\u202e"


def test_load_when_json_text_is_hostile_then_harmless(tmp_path: Path) -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a\x1b[0m"}}
    manifest = _only(_load(tmp_path, {"a.json": json.dumps(pod)}))
    assert manifest.body["metadata"]["name"] == "a␛[0m"


def test_load_when_not_utf8_then_notice_with_line(tmp_path: Path) -> None:
    loaded = _load(tmp_path, {"a.yaml": b"a: 1\nb: \xff\n"})
    assert "a.yaml:2: not UTF-8" in _texts(loaded)


def test_load_when_bom_and_crlf_then_read(tmp_path: Path) -> None:
    content = b"\xef\xbb\xbf" + _policy().replace("\n", "\r\n").encode()
    assert _only(_load(tmp_path, {"a.yaml": content})).line_of("spec.egress[1]") == 10


def test_load_when_hidden_folders_or_links_out_then_left_out(tmp_path: Path) -> None:
    root = _write(tmp_path / "root", {".git/a.yaml": _policy(), "b.txt": "x"})
    outside = _write(tmp_path / "out", {"c.yaml": _policy()})
    (root / "c.yaml").symlink_to(outside / "c.yaml")
    loaded = load([str(root)])
    assert not loaded.manifests
    assert "a link out of the tree" in _texts(loaded)


async def test_reader_when_cluster_dump_then_settings_and_version(tmp_path: Path) -> None:
    text = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: cilium-config, namespace: kube-system}
data: {enable-policy: always}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: cilium, namespace: kube-system}
spec:
  template:
    spec:
      containers:
      - {name: cilium-agent, image: "quay.io/cilium/cilium:v1.18.2@sha256:00"}
"""
    reader = ManifestReader([str(_write(tmp_path, {"a.yaml": text}))])
    picture = await reader.read()
    assert picture.settings == {"enable-policy": "always"}
    assert picture.cilium_version == "1.18.2"
    assert reader.name == str(tmp_path)
    assert [change async for change in reader.watch()] == []


@pytest.mark.parametrize("kind", ["Pod", "NetworkPolicy"])
def test_load_when_json_is_nested_deeply_then_reported(tmp_path: Path, kind: str) -> None:
    deep = "[" * 900 + '"\\u202e"' + "]" * 900
    head = f'{{"apiVersion":"v1","kind":"{kind}","metadata":{{"name":"a"}}'
    loaded = _load(tmp_path, {"a.json": f'{head},"x":{deep}}}'})
    assert not loaded.manifests
    assert "nested" in _texts(loaded)


_SEEDS = (
    _policy().encode(),
    b"%YAML 1.1\n---\na: &x [*x]\n...\n---\n- !t {a: b}\n",
    b'{"kind":"List","apiVersion":"v1","items":[{"kind":"Pod","metadata":{"name":"a\\u202e"}}]}',
    b"apiVersion: kustomize.config.k8s.io/v1\nkind: Kustomization\nresources: [a, {b: c}]\n",
    b"\xef\xbb\xbfa: 1\r\n",
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.sampled_from(_SEEDS),
    cuts=st.lists(st.tuples(st.integers(0, 300), st.binary(max_size=6)), max_size=6),
    name=st.sampled_from(["a.yaml", "a.json", "kustomization.yaml"]),
)
def test_load_when_bytes_are_damaged_then_notices_and_never_an_error(
    tmp_path: Path, seed: bytes, cuts: list[tuple[int, bytes]], name: str
) -> None:
    content = bytearray(seed)
    for at, piece in cuts:
        content[at : at + len(piece)] = piece
    path = tmp_path / name
    path.write_bytes(content)
    loaded = load([str(path)])
    assert all(is_clean(str(notice)) for notice in loaded.notices)
    assert all(is_clean(str(manifest.ref)) for manifest in loaded.manifests)


def test_load_when_folder_is_empty_then_error_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(BadInput, match="no manifests under") as caught:
        load([str(tmp_path)])
    assert ".yaml" in caught.value.hint


@pytest.mark.parametrize(
    "text", ["", "# policies follow\n", "---\n---\n", "replicas: 3\n", "[]\n", "{}"]
)
def test_named_file_without_an_object_is_an_error(tmp_path: Path, text: str) -> None:
    file = tmp_path / "policies.yaml"
    file.write_text(text)
    assert "no Kubernetes object in it" in load([str(file)]).failed[str(file)].text
    with pytest.raises(SourceUnavailable, match="no Kubernetes object in it"):
        asyncio.run(ManifestReader([str(file)]).read())


def test_list_of_nothing_is_an_answer(tmp_path: Path) -> None:
    file = tmp_path / "policies.yaml"
    file.write_text("apiVersion: v1\nkind: List\nitems: []\n")
    assert not load([str(file)]).failed
    assert not asyncio.run(ManifestReader([str(file)]).read()).manifests
