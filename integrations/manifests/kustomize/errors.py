"""What kustomize would not build."""

from __future__ import annotations


class Refused(Exception):
    """`kustomize build` ends with an error here; the text says why, lower-case."""
