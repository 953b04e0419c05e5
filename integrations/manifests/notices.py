"""What is worth saying about a checkout: true, each once, and what belongs together in one line.

Of severity `error` is what was not read and could change an answer; `warning` is said with every
answer; `info` where things are listed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from app.core.model.provenance import Manifest, Notice, ObjectRef
from integrations.manifests.checkout import Checkout
from integrations.manifests.deploy.choice import Chosen
from integrations.manifests.deploy.deployment import Chart
from integrations.manifests.found import DECIDING_KINDS
from integrations.manifests.kustomize.kustomization import Built, Problem
from integrations.manifests.placeholders import Placeholders
from integrations.manifests.repository import Plan

_SKIPPED = {
    "template": "Helm templates are not read: ",
    "not an object": "no Kubernetes object (no apiVersion and kind): ",
}


def listing(names: Iterable[str], most: int = 5) -> str:
    """Write a few names out and count the rest."""
    unique = list(dict.fromkeys(names))
    rest = len(unique) - most
    return ", ".join(unique[:most]) + (f" and {rest} more" if rest > 0 else "")


def of_choice(chosen: Chosen) -> list[Notice]:
    """Say which environment is analysed where nobody chose it."""
    if chosen.asked or not chosen.others:
        return []
    others = listing((f"`{one}`" for one in chosen.others), 8)
    options = "--env and --cluster" if chosen.selection.clusters else "--env"
    if chosen.selection.clusters and not chosen.selection.env:
        options = "--cluster"
    text = f"of several environments `{chosen.selection}` is analysed"
    return [Notice(f"{text} ({options} choose; also: {others})")]


def of_builds(built: Iterable[Built]) -> list[Notice]:
    """Say what kustomizations ask for that is not here, not modelled, or would fail."""
    notices: list[Notice] = []
    missing: dict[str, list[str]] = {}
    for one in built:
        notices += [_refused(problem) for problem in one.refused]
        notices += [_ignored(problem) for problem in one.ignored]
        notices += one.notices
        for problem in one.missing:
            missing.setdefault(problem.file, []).append(problem.text)
    for file, entries in missing.items():
        count = f"{len(set(entries))} resources" if len(set(entries)) > 1 else "a resource"
        text = f"not in the snapshot: {count} of this kustomization: {listing(entries)}"
        notices.append(Notice(text, file, severity="error"))
    return list(dict.fromkeys(notices))


def _ignored(problem: Problem) -> Notice:
    text = f"`{problem.text}` is not carried out, so what it changes is not known"
    return Notice(text, problem.file, problem.line, severity="error")


def _refused(problem: Problem) -> Notice:
    text = f"kustomize would not build this: {problem.text}; the rest of it is analysed"
    return Notice(text, problem.file, problem.line, severity="error")


def of_charts(charts: Sequence[Chart]) -> list[Notice]:
    """Name every chart that was not rendered, with the namespace whose answers it could change."""
    by_namespace: dict[str, list[Chart]] = {}
    for chart in charts:
        by_namespace.setdefault(chart.namespace, []).append(chart)
    notices = []
    for namespace, those in sorted(by_namespace.items()):
        names = listing(dict.fromkeys(_chart_words(one) for one in those))
        where = f" in `{namespace}`" if namespace else ""
        text = f"Helm charts are not rendered{where}: {names}; pods, Services and policies of them"
        here = any(one.folder and not one.lacks for one in those)
        way_out = "install helm, or let --helm name it; " if here else ""
        text += f" are not known ({way_out}--rendered DIR takes what `helm template` prints)"
        ref = ObjectRef("NetworkPolicy", namespace, "") if namespace else None
        first = those[0]
        notices.append(Notice(text, first.file, first.line, ref, "error"))
    return notices


def _chart_words(chart: Chart) -> str:
    return f"{chart.name} ({chart.lacks})" if chart.folder and chart.lacks else chart.name


def of_undeployed(manifests: Sequence[Manifest], *, controlled: bool) -> list[Notice]:
    """Count the objects that decide and that nothing deploys, with the reason."""
    policies = [one for one in manifests if one.ref.kind in DECIDING_KINDS]
    if not policies:
        return []
    who = "nothing of Argo CD or Flux" if controlled else "no kustomization"
    first, *rest = dict.fromkeys(one.file or "" for one in policies)
    if rest:
        text = f"{len(rest) + 1} files with policies are deployed by nothing: {who} leads to them"
        return [Notice(f"{text}; not analysed: {listing([first, *rest])}", severity="info")]
    what = f"{len(policies)} policies are" if len(policies) > 1 else f"{policies[0].ref} is"
    text = f"{what} deployed by nothing: {who} leads to the file; not analysed"
    line = policies[0].source.line if policies[0].source else None
    return [Notice(text, first, line, policies[0].ref, "info")]


def of_unknown(plan: Plan) -> list[Notice]:
    """Name the controllers' objects whose source is not in this checkout."""
    reasons: dict[str, list[str]] = {}
    for manifest, reason in plan.unknown:
        reasons.setdefault(reason, []).append(str(manifest.ref))
    if not reasons:
        return []
    names = listing(f"{ref} ({reason})" for reason, refs in reasons.items() for ref in refs)
    return [Notice(f"what these deploy is not known: {names}", severity="info")]


def of_skipped(checkout: Checkout, known: Iterable[Path]) -> list[Notice]:
    """Say which files hold no objects, and are not what a kustomization needs them for."""
    used = {checkout.files.shown[path] for path in known if path in checkout.files.shown}
    notices = []
    for reason, text in _SKIPPED.items():
        files = [one for one in checkout.found.skipped.get(reason, ()) if one not in used]
        if files:
            notices.append(Notice(f"{text}{listing(files)}", severity="info"))
    return notices


def of_placeholders(left: Placeholders) -> list[Notice]:
    """Name the placeholders without a value in what is analysed."""
    if not left.open:
        return []
    names = listing(f"${{{name}}}" for name in sorted(left.open))
    files = {file for used_in in left.open.values() for file in used_in}
    example = f"--set {min(left.open)}=VALUE"
    text = f"placeholders without a value, kept as unknown names: {names} ({example})"
    return [Notice(f"{text}; in {listing(sorted(files))}")]
