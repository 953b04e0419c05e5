"""One `kustomize build`: from a kustomization to the objects it deploys.

Source: kustomize 5.8 `api/internal/target/kusttarget.go`: resources, then generators, components
and transformers; at the end hashes, and references to names that changed. Where kustomize would
end with an error, the build goes on without the part and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from app.core.errors import BadInput
from app.core.model.provenance import Manifest, Source
from app.core.text import clean
from integrations.manifests.found import make_ref
from integrations.manifests.kustomize.charts import read_chart
from integrations.manifests.kustomize.configuration import read_configuration
from integrations.manifests.kustomize.defaults import Config
from integrations.manifests.kustomize.errors import Refused
from integrations.manifests.kustomize.generators import absorb, add_hashes, generate
from integrations.manifests.kustomize.kustomization import (
    Built,
    Files,
    Kustomization,
    Problem,
    is_remote,
)
from integrations.manifests.kustomize.references import fix_references
from integrations.manifests.kustomize.resource import Resource, Resources, as_kustomize_reads
from integrations.manifests.kustomize.schema import wrong_fields
from integrations.manifests.kustomize.steps import steps
from integrations.manifests.kustomize.tree import Map, Place, text_of

_LOCAL = "config.kubernetes.io/local-config"
"""Annotation of objects that are for tools only. Source: `api/konfig/general.go`."""

_DEPTH_MAX = 64
"""How deep kustomizations may lie inside each other; more is an accident."""

_ENTERED_MAX = 2_000
"""How often kustomizations may be entered for one root: by two ways a level, eleven levels."""

_HEAD = {"apiVersion", "kind"}
_KINDS = (None, "", "Kustomization", "Component")

_NOT_MODELLED = ("generators", "transformers", "validators", "openapi", "vars")
"""What may change objects that answers rest on, or stop the build, and is not done here: plug-ins,
other schemas, `$(NAME)`."""
_MANAGED_BY = "managedByLabel"
"""Gives every object a label with the version of the tool. Source: `api/types/kustomization.go`."""


def build(files: Files, kustomization: Kustomization) -> Built:
    """Build one kustomization, as `kustomize build FOLDER` does."""
    target = _Target(files)
    scope = _Scope(kustomization, Resources())
    config = target.accumulate(scope)
    place = kustomization.place("resources")
    target.attempt(place, lambda: add_hashes(scope.resources))
    target.attempt(place, lambda: fix_references(scope.resources, config.references))
    target.built.manifests = [one.finished() for one in scope.resources if not _is_local(one)]
    return target.built


def _is_local(resource: Resource) -> bool:
    return resource.marks("annotations").get(_LOCAL, "false") != "false"


@dataclass(frozen=True, slots=True)
class _Scope:
    """A kustomization at work: what it collects, the folders that include it, their namespace."""

    own: Kustomization
    resources: Resources
    above: tuple[Path, ...] = ()
    namespace: str = ""

    def inside(self, inner: Kustomization, resources: Resources) -> _Scope:
        namespace = self.own.text("namespace") or self.namespace
        return _Scope(inner, resources, (*self.above, self.own.folder), namespace)


class _Target:
    def __init__(self, files: Files) -> None:
        self._files = files
        self.built = Built()
        self._entered = 0

    def attempt(self, place: Place, act: Callable[[], object]) -> None:
        """Do a part; what kustomize would refuse becomes a problem."""
        try:
            act()
        except Refused as error:
            self._refuse(str(error), place)
        except BadInput as error:
            self._refuse(error.message, (error.file or place[0], error.line or place[1]))

    def _refuse(self, text: str, place: Place) -> None:
        problem = Problem(clean(text), *place)
        if problem not in self.built.refused:
            self.built.refused.append(problem)

    def accumulate(self, scope: _Scope) -> Config:
        """Add what a kustomization deploys to its resources, and transform all that is in them."""
        own = scope.own
        self.built.folders.add(own.folder)
        self._check(own)
        config = Config()
        for key in ("resources", "bases"):
            for entry, place in own.texts(key):
                config = self._joined(config, self._resource(scope, entry, place), place)
        config = self._configured(own, config)
        self._generate(scope)
        for entry, place in own.texts("components"):
            config = self._joined(config, self._component(scope, entry, place), place)
        for place, act in steps(own, scope.resources, config, self._files, self.built):
            self.attempt(place, act)
        self._leave_out(own)
        return config

    def _check(self, own: Kustomization) -> None:
        """Refuse what kustomize would of the file itself."""
        if not any(own.body[key] is not None for key in own.body.keys() - _HEAD):
            self._refuse("the kustomization is empty", own.place("kind"))
        if own.body.get("kind") not in _KINDS:
            self._refuse("its kind is not Kustomization", own.place("kind"))
        for text, place in wrong_fields(own.body, (own.shown, 1)):
            self._refuse(text, place)

    def _leave_out(self, own: Kustomization) -> None:
        """Name what is asked for and not modelled."""
        for key in _NOT_MODELLED:
            if own.body.get(key):
                self.built.ignored.append(Problem(key, *own.place(key)))
        for option, place in own.texts("buildMetadata"):
            if option == _MANAGED_BY:
                self.built.ignored.append(Problem(f"buildMetadata: {option}", *place))

    def _resource(self, scope: _Scope, entry: str, place: Place) -> Config:
        path = scope.own.path(entry)
        manifests = None if is_remote(entry) else self._files.objects(path)
        if manifests is not None:
            self.built.files.add(path)
            self._add(scope.resources, manifests, place)
            return Config()
        inner = None if is_remote(entry) else self._files.kustomization(path)
        if inner is None:
            self.built.missing.append(Problem(clean(entry), *place))
            return Config()
        if inner.is_component:
            self._refuse("a component is listed as a resource", place)
            return Config()
        apart = Resources()
        config = self._enter(scope.inside(inner, apart), place)
        for resource in apart:
            self.attempt(place, partial(scope.resources.append, resource))
        return config

    def _component(self, scope: _Scope, entry: str, place: Place) -> Config:
        inner = None if is_remote(entry) else self._files.kustomization(scope.own.path(entry))
        if inner is None:
            self.built.missing.append(Problem(clean(entry), *place))
            return Config()
        if not inner.is_component:
            self._refuse("a kustomization is listed as a component", place)
            return Config()
        return self._enter(scope.inside(inner, scope.resources), place)

    def _enter(self, scope: _Scope, place: Place) -> Config:
        if scope.own.folder in scope.above:
            self._refuse("kustomizations include each other", place)
            return Config()
        if len(scope.above) > _DEPTH_MAX:
            self._refuse(f"kustomizations lie more than {_DEPTH_MAX} deep inside each other", place)
            return Config()
        self._entered += 1
        if self._entered > _ENTERED_MAX:
            self._refuse(f"kustomizations are included more than {_ENTERED_MAX:,} times", place)
            return Config()
        return self.accumulate(scope)

    def _add(self, resources: Resources, manifests: Iterable[Manifest], place: Place) -> None:
        for manifest in manifests:
            self.attempt(place, partial(resources.append, Resource(as_kustomize_reads(manifest))))

    def _joined(self, config: Config, more: Config, place: Place) -> Config:
        try:
            return config.with_more(more)
        except Refused as error:
            self._refuse(str(error), place)
            return config

    def _configured(self, own: Kustomization, config: Config) -> Config:
        for entry, place in own.texts("configurations"):
            self.built.patches.add(own.path(entry))
            try:
                roots = self._files.roots(own.path(entry))
            except BadInput as error:
                self._refuse(error.message, place)
                continue
            if roots is None:
                self.built.missing.append(Problem(clean(entry), *place))
            for root in roots or ():
                config = self._joined(config, read_configuration(root), place)
        return config

    def _generate(self, scope: _Scope) -> None:
        own = scope.own
        for key, kind in (("configMapGenerator", "ConfigMap"), ("secretGenerator", "Secret")):
            for arguments, place in own.maps(key):
                made = _Generator(self, scope, kind, arguments, place)
                self.attempt(place, made.run)
        for chart, place in own.maps("helmCharts"):
            namespace = own.text("namespace") or scope.namespace
            asked = read_chart(own, chart, namespace, place=place, files=self._files)
            rendered = self._files.chart(asked)
            self.built.charts += rendered.charts
            self.built.patches |= rendered.patches
            self.built.notices += rendered.notices
            self._add(scope.resources, rendered.manifests, place)

    def read(self, path: Path) -> bytes | None:
        """Give the content of a file that a generator names."""
        self.built.patches.add(path)
        return self._files.content(path)


@dataclass(frozen=True, slots=True)
class _Generator:
    target: _Target
    scope: _Scope
    kind: str
    arguments: Map
    place: Place

    def run(self) -> None:
        """Make the object and let it in."""
        own = self.scope.own
        tree, hashed, missing = generate(
            self.kind,
            self.arguments,
            own.mapping("generatorOptions"),
            lambda entry: self.target.read(own.path(entry)),
        )
        for entry in missing:
            self.target.built.absent.append(Problem(clean(entry), *self.place))
        metadata = tree["metadata"]
        ref = make_ref(self.kind, metadata.get("namespace", ""), metadata["name"])
        made = Resource(Manifest(ref, "v1", tree, Source(*self.place)), hashed=hashed)
        made.behavior = text_of(self.arguments.get("behavior") or "")
        made.replace_tree(tree)
        absorb(self.scope.resources, made)
