"""`configurations` of a kustomization: more fields for its transformers.

Source: kustomize `api/internal/plugins/builtinconfig/transformerconfig.go`.
"""

from __future__ import annotations

from typing import Any

from integrations.manifests.kustomize.defaults import Config, Reference
from integrations.manifests.kustomize.fields import FieldSpec, Gvk
from integrations.manifests.kustomize.tree import Map, text_of


def read_configuration(root: Any) -> Config:
    """Take the field lists from a configuration file; what is of a wrong type counts as absent."""
    body = root if isinstance(root, Map) else Map()
    return Config(
        prefix=field_specs(body.get("namePrefix")),
        suffix=field_specs(body.get("nameSuffix")),
        namespace=field_specs(body.get("namespace")),
        labels=field_specs(body.get("labels")),
        common_labels=field_specs(body.get("commonLabels")),
        template_labels=field_specs(body.get("templateLabels")),
        annotations=field_specs(body.get("commonAnnotations")),
        replicas=field_specs(body.get("replicas")),
        references=tuple(
            Reference(_gvk(entry), field_specs(entry.get("fieldSpecs")))
            for entry in _maps(body.get("nameReference"))
        ),
    )


def field_specs(value: Any) -> tuple[FieldSpec, ...]:
    """Take the fields of a list, as `labels[].fields` and configurations have them."""
    return tuple(
        FieldSpec(entry["path"], _gvk(entry), create=entry.get("create") is True)
        for entry in _maps(value)
        if isinstance(entry.get("path"), str)
    )


def _gvk(entry: Map) -> Gvk:
    return Gvk(*(text_of(entry.get(key) or "") for key in ("group", "version", "kind")))


def _maps(value: Any) -> list[Map]:
    return [item for item in value if isinstance(item, Map)] if isinstance(value, list) else []
